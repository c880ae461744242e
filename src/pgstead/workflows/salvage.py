"""One table from the last proven backup, beside the live one, and how the two differ.

The live table is read and never changed: which of its rows count is its owner's decision. What
was restored lies in a schema that nobody but the superuser may use, so that no policy is passed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from pgstead.errors import BackupError, UsageError
from pgstead.model.backup import Ending, State, Target, Task
from pgstead.observe.integrity import primary_key, told_key
from pgstead.ports import Ports
from pgstead.workflows import restore
from pgstead.workflows.backup import ports_of

Connection = psycopg.Connection[dict[str, Any]]
SCHEMA = "pgstead_salvage"
_MOST = 20  # keys that are named
_PAGE = re.compile(r"invalid page in block (\d+) of relation (\S+)")
_SHAPE = """
    SELECT n.nspname::text AS schema, c.relname::text AS name,
           pg_relation_size(c.oid) / current_setting('block_size')::int AS blocks,
           (SELECT array_agg(a.attname::text ORDER BY a.attnum) FROM pg_attribute AS a
            WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
              AND a.attgenerated = '') AS columns
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.oid = to_regclass(%(table)s) AND c.relkind = 'r'
"""
_DIFFERENT = """
    SELECT coalesce(l.key, b.key) AS key,
           CASE WHEN l.key IS NULL THEN 'lost' WHEN b.key IS NULL THEN 'new' ELSE 'different' END
           AS how
    FROM pgstead_live AS l FULL JOIN pgstead_beside AS b ON b.key = l.key
    WHERE l.sum IS DISTINCT FROM b.sum
"""


@dataclass(slots=True)
class Salvage:
    """A table restored beside the live one."""

    backup: str
    table: str
    beside: str
    rows: int = 0
    lost: list[str] = field(default_factory=list[str])  # keys: the backup alone has them
    lost_count: int = 0
    new: list[str] = field(default_factory=list[str])  # the live table alone
    new_count: int = 0
    different: list[str] = field(default_factory=list[str])
    different_count: int = 0
    unreadable: list[int] = field(default_factory=list[int])  # blocks of the live table


def proven(ports: Ports) -> str:
    """Return the newest backup that was restored or verified well. Raises BackupError."""
    backup = ports_of(ports)
    runs = (*backup.catalog.runs(Task.DRILL), *backup.catalog.runs(Task.VERIFY))
    good = {run.backup for run in runs if run.ending is Ending.DONE}
    for found in reversed(backup.engine.backups()):
        if found.state is State.DONE and found.name in good:
            return found.name
    raise BackupError(
        "no backup was proven yet", hint="`pgstead drill`, or `pgstead backup verify`"
    )


def salvage(ports: Ports, database: str, table: str) -> Salvage:
    """Restore a table beside the live one, up to the last moment, and compare them by key.

    Raises UsageError for what is no table, BackupError where it cannot be restored.
    """
    with ports.sql.connect(database) as live:
        live.execute("SET statement_timeout = 0")
        live.execute("SET search_path = pg_catalog")
        shape = live.execute(_SHAPE, {"table": table}).fetchone()
        key = primary_key(live, table) if shape is not None else ()
        if shape is None or not key:
            raise UsageError(
                f"{table!r} of {database} is no table with a primary key",
                hint="name it with its schema: public.orders; of a partitioned table a partition",
            )
        wanted = restore.recipe(ports, Target(), Path.cwd(), name=proven(ports))
        stamp = datetime.now(UTC).strftime("%Y%m%d%H%M%S")
        name = f"{shape['name'][:40]}_{stamp}"
        found = Salvage(wanted.backup.name, table, f"{SCHEMA}.{name}")
        with restore.beside(ports, wanted, "salvage") as (session, record, _):
            record.detail["extracted"] = f"{database}.{table}"
            ports.progress.step(f"copying {table}")
            with session.sql.connect(database, read_only=True) as restored:
                found.rows = _copied(restored, live, shape, name)
        ports.progress.step("comparing")
        _compare(live, shape, key, name, found)
    ports.journal.record("table salvaged", database=database, table=table, beside=found.beside)
    return found


def _copied(restored: Connection, live: Connection, shape: dict[str, Any], name: str) -> int:
    there, here = sql.Identifier(shape["schema"], shape["name"]), sql.Identifier(SCHEMA, name)
    columns = sql.SQL(", ").join(map(sql.Identifier, shape["columns"]))
    restored.execute("SET statement_timeout = 0")
    with live.transaction():
        live.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(SCHEMA)))
        live.execute(sql.SQL("CREATE TABLE {} (LIKE {})").format(here, there))
        giving = sql.SQL("COPY {} ({}) TO STDOUT (FORMAT binary)").format(there, columns)
        taking = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary)").format(here, columns)
        with (
            restored.cursor().copy(giving) as source,
            live.cursor() as cursor,
        ):
            with cursor.copy(taking) as target:
                for part in source:
                    target.write(part)
            return cursor.rowcount


def _compare(
    live: Connection, shape: dict[str, Any], key: tuple[str, ...], name: str, found: Salvage
) -> None:
    columns = sql.SQL(", ").join(sql.Identifier("c", each) for each in shape["columns"])
    what = sql.SQL("SELECT {} AS key, hashtextextended(ROW({})::text, 0) AS sum").format(
        told_key(key, "c"), columns
    )
    live.execute("CREATE TEMP TABLE pgstead_live (key text, sum bigint)")
    table = sql.Identifier(shape["schema"], shape["name"])
    _read(live, what, table, shape["blocks"], found)
    live.execute(
        sql.SQL("CREATE TEMP TABLE pgstead_beside AS {} FROM {} AS c").format(
            what, sql.Identifier(SCHEMA, name)
        )
    )
    for row in live.execute(_DIFFERENT).fetchall():
        keys: list[str] = getattr(found, row["how"])
        setattr(found, f"{row['how']}_count", getattr(found, f"{row['how']}_count") + 1)
        if len(keys) < _MOST:
            keys.append(row["key"])


def _read(
    live: Connection, what: sql.Composed, table: sql.Identifier, blocks: int, found: Salvage
) -> None:
    """Read the live table around the pages that cannot be read."""
    spans = [(0, blocks)]
    while spans:
        first, last = spans.pop()
        if first >= last:
            continue
        statement = sql.SQL(
            "INSERT INTO pgstead_live {} FROM ONLY {} AS c"
            " WHERE c.ctid >= {}::tid AND c.ctid < {}::tid"
        ).format(what, table, sql.Literal(f"({first},0)"), sql.Literal(f"({last},0)"))
        try:
            live.execute(statement)
        except psycopg.errors.DataCorrupted as error:
            told = _PAGE.search(error.diag.message_primary or "")
            bad = int(told[1]) if told is not None else -1
            if not first <= bad < last:
                raise BackupError(
                    f"the live table cannot be compared: {error.diag.message_primary}",
                    hint=f"what was restored is in {found.beside}",
                ) from error
            found.unreadable.append(bad)
            spans += [(first, bad), (bad + 1, last)]
