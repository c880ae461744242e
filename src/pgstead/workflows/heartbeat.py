"""The ledger: numbered, hashed rows in the live system that a restore must have.

Each row carries the hash of the one before, so that a row that is missing in between, changed or
swapped shows; the last one says up to when a restore goes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from psycopg.errors import InvalidSchemaName, UndefinedTable

from pgstead.ports import Sql

SCHEMA = "pgstead_heartbeat"
_KEPT = 1_000_000  # rows; ten a minute for two months

_MAKE = """
    CREATE SCHEMA IF NOT EXISTS pgstead_heartbeat;
    REVOKE ALL ON SCHEMA pgstead_heartbeat FROM PUBLIC;
    CREATE TABLE IF NOT EXISTS pgstead_heartbeat.ledger (
        number bigint PRIMARY KEY,
        at timestamptz NOT NULL,
        hash bytea NOT NULL
    );
    COMMENT ON SCHEMA pgstead_heartbeat IS
        'written by the agent of pgstead: a restore must have these rows (BAK-2)';
"""
_BEAT = """
    INSERT INTO pgstead_heartbeat.ledger AS l (number, at, hash)
    SELECT coalesce(max(number), 0) + 1, t.at,
           sha256(coalesce((array_agg(hash ORDER BY number DESC))[1], ''::bytea)
                  || convert_to((coalesce(max(number), 0) + 1) || ' ' || t.at, 'UTF8'))
    FROM (SELECT clock_timestamp() AS at) AS t
    LEFT JOIN LATERAL (
        SELECT number, hash FROM pgstead_heartbeat.ledger ORDER BY number DESC LIMIT 1
    ) AS last ON true
    GROUP BY t.at
    RETURNING number, at
"""
# The agent, a backup and a drill may beat at once; each row builds on the one before. The lock
# ends with its session.
_TURN = "SELECT pg_catalog.pg_advisory_lock(pg_catalog.hashtext('pgstead_heartbeat.ledger'))"
_TRIM = "DELETE FROM pgstead_heartbeat.ledger WHERE number <= %(number)s - %(kept)s"
# A row is true where its hash follows from its own words and the hash before it.
_CHECK = """
    SELECT count(*) AS rows, min(number) AS first, max(number) AS last, max(at) AS at,
           count(*) FILTER (WHERE number <> before + 1) AS gaps,
           count(*) FILTER (WHERE hash <> follows) AS altered,
           min(number) FILTER (WHERE number <> before + 1 OR hash <> follows) AS odd
    FROM (SELECT number, at, hash, lag(number) OVER w AS before,
                 sha256(coalesce(lag(hash) OVER w, CASE WHEN number = 1 THEN ''::bytea END)
                        || convert_to(number || ' ' || at, 'UTF8')) AS follows
          FROM pgstead_heartbeat.ledger WINDOW w AS (ORDER BY number)) AS l
"""


@dataclass(frozen=True, slots=True)
class Beat:
    """One row."""

    number: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Ledger:
    """What a ledger says of itself."""

    rows: int
    first: int | None
    last: int | None
    at: datetime | None
    gaps: int
    altered: int
    odd: int | None = None  # the first row that is altered, or that follows on a gap

    @property
    def whole(self) -> bool:
        """No row is missing in between, none was changed."""
        return self.gaps == 0 and self.altered == 0

    def __str__(self) -> str:
        if self.whole:
            return f"{self.rows} rows, none missing in between or altered"
        return (
            f"{self.altered} of {self.rows} rows altered, {self.gaps} gaps, the first at row"
            f" {self.odd}"
        )


def beat(sql: Sql) -> Beat:
    """Write one row; the table is made with the first. Raises NotRunningError."""
    with sql.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(_TURN)
        try:
            row = connection.execute(_BEAT).fetchone()
        except (UndefinedTable, InvalidSchemaName):
            connection.execute(_MAKE)
            row = connection.execute(_BEAT).fetchone()
        assert row is not None
        if row["number"] % 1000 == 0:
            connection.execute(_TRIM, {"number": row["number"], "kept": _KEPT})
        return Beat(row["number"], row["at"])


def look(sql: Sql) -> Ledger:
    """Return what the ledger of a server says."""
    with sql.connect(read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        try:
            row: Mapping[str, object] | None = connection.execute(_CHECK).fetchone()
        except (UndefinedTable, InvalidSchemaName):
            return Ledger(0, None, None, None, 0, 0)
    assert row is not None
    return Ledger(**row)  # pyright: ignore[reportArgumentType] - the query names the fields
