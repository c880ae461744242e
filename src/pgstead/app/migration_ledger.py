"""The ledger: which revision was applied when, by whom, from which text.

A schema of its own, which the owner makes with the first revision: autogenerate looks at `public`,
and default privileges give nobody anything there. `applied` is written in the transaction of the
revision itself, so it is true whatever happens. `unfinished` holds what a revision committed before
its end (around an `autocommit_block()`): the next run goes on behind that. `backfill` holds how far
the rows are that it changes in batches.
"""

from __future__ import annotations

import getpass
import logging
import platform
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, LiteralString

import psycopg

from pgstead.model.history import Applied, Remembered, digest

SCHEMA = "pgstead_migrations"

_log = logging.getLogger("alembic.pgstead")

_MAY = """
    SELECT has_database_privilege(current_database(), 'CREATE')
        OR to_regclass('pgstead_migrations.unfinished') IS NOT NULL
"""
# In one message, so that a half of it is never there. Nothing of it is for PUBLIC.
_CREATE: LiteralString = """
CREATE SCHEMA IF NOT EXISTS pgstead_migrations;
CREATE TABLE IF NOT EXISTS pgstead_migrations.applied (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at timestamptz NOT NULL DEFAULT clock_timestamp(),
  revision text NOT NULL,
  direction text NOT NULL CHECK (direction IN ('up', 'down', 'stamp', 'reconcile')),
  digest text NOT NULL,
  source text NOT NULL,
  seconds double precision NOT NULL,
  tries integer NOT NULL,
  role text NOT NULL DEFAULT session_user,
  person text NOT NULL,
  reason text
);
CREATE TABLE IF NOT EXISTS pgstead_migrations.unfinished (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at timestamptz NOT NULL DEFAULT clock_timestamp(),
  revision text NOT NULL,
  direction text NOT NULL CHECK (direction IN ('up', 'down')),
  statement text NOT NULL,
  digest text NOT NULL,
  done boolean NOT NULL
);
CREATE TABLE IF NOT EXISTS pgstead_migrations.backfill (
  revision text NOT NULL,
  name text NOT NULL,
  position jsonb,
  visited bigint NOT NULL DEFAULT 0,
  changed bigint NOT NULL DEFAULT 0,
  finished boolean NOT NULL DEFAULT false,
  began timestamptz NOT NULL DEFAULT clock_timestamp(),
  at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (revision, name)
);
COMMENT ON SCHEMA pgstead_migrations IS 'what pgstead''s migrations remember; no application''s';
"""
_THERE = "SELECT to_regclass('pgstead_migrations.backfill') IS NOT NULL"
_APPLIED = """
    INSERT INTO pgstead_migrations.applied
        (revision, direction, digest, source, seconds, tries, person, reason)
    VALUES (%(revision)s, %(direction)s, %(digest)s, %(source)s, %(seconds)s, %(tries)s,
            %(person)s, %(reason)s)
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the ledger."""

    revision: str
    direction: str  # up, down, stamp, reconcile
    source: str
    seconds: float = 0.0
    tries: int = 1
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A statement of a revision that was committed before its end, or was being run then."""

    statement: str
    digest: str
    done: bool


def text_of(path: str | None) -> str:
    """Return the text of a revision's file, nothing where there is none."""
    try:
        return Path(path).read_text(encoding="utf-8") if path else ""
    except OSError:
        return ""


def prepare(connection: psycopg.Connection[Any]) -> bool:
    """Make the ledger where there is none; return whether there is one now.

    As whom migrations run who may not make a schema, they run without: a URL may lead anywhere.
    """
    (there,) = _row(connection, _THERE)
    if there:
        return True
    (may,) = _row(connection, _MAY)
    if may:
        connection.execute(_CREATE)
        return True
    _log.warning(
        "no ledger of migrations: this role may not create a schema; an edited revision is not"
        " found, and one that fails half-way is not continued"
    )
    return False


def write(connection: psycopg.Connection[Any], entries: Iterable[Entry]) -> None:
    """Write lines, in whatever transaction the connection is."""
    for entry in entries:
        values = {
            "revision": entry.revision,
            "direction": entry.direction,
            "digest": digest(entry.source),
            "source": entry.source,
            "seconds": entry.seconds,
            "tries": entry.tries,
            "person": person(),
            "reason": entry.reason,
        }
        connection.execute(_APPLIED, values)


def unfinished(
    connection: psycopg.Connection[Any], revision: str, direction: str
) -> list[Unfinished]:
    """Return what an earlier run of a revision left committed, in order."""
    rows = connection.execute(
        "SELECT statement, digest, done FROM pgstead_migrations.unfinished"
        " WHERE revision = %s AND direction = %s ORDER BY id",
        [revision, direction],
    )
    return [Unfinished(*row) for row in rows]


def remember(
    connection: psycopg.Connection[Any], revision: str, direction: str, what: Unfinished
) -> None:
    """Note one statement: done, or begun."""
    connection.execute(
        "INSERT INTO pgstead_migrations.unfinished (revision, direction, statement, digest, done)"
        " VALUES (%s, %s, %s, %s, %s)",
        [revision, direction, what.statement, what.digest, what.done],
    )


def done(connection: psycopg.Connection[Any], revision: str, key: str) -> None:
    """Note that a statement that was begun is done."""
    connection.execute(
        "UPDATE pgstead_migrations.unfinished SET done = true"
        " WHERE revision = %s AND digest = %s AND NOT done",
        [revision, key],
    )


def dropped(connection: psycopg.Connection[Any], revision: str, key: str) -> None:
    """Forget a statement that was begun: nothing is left of it."""
    connection.execute(
        "DELETE FROM pgstead_migrations.unfinished"
        " WHERE revision = %s AND digest = %s AND NOT done",
        [revision, key],
    )


def finished(connection: psycopg.Connection[Any], revision: str) -> None:
    """Forget what was noted of a revision: it is applied, or taken back, as a whole."""
    connection.execute("DELETE FROM pgstead_migrations.unfinished WHERE revision = %s", [revision])
    connection.execute("DELETE FROM pgstead_migrations.backfill WHERE revision = %s", [revision])


def read(connection: psycopg.Connection[Any]) -> Remembered:
    """Return what the database of a connection knows of its migrations; changes nothing."""
    (versions, there) = _row(
        connection,
        "SELECT to_regclass('public.alembic_version') IS NOT NULL,"
        " to_regclass('pgstead_migrations.unfinished') IS NOT NULL",
    )
    heads: list[str] = []
    if versions:
        found = connection.execute("SELECT version_num FROM public.alembic_version ORDER BY 1")
        heads = [str(row[0]) for row in found]
    if not there:
        return Remembered(tuple(heads))
    lines = connection.execute(
        "SELECT revision, direction, at, seconds, tries, role, person, reason, digest, source"
        " FROM pgstead_migrations.applied ORDER BY id"
    )
    left: dict[str, list[str]] = {}
    for revision, statement in connection.execute(
        "SELECT revision, statement FROM pgstead_migrations.unfinished ORDER BY id"
    ):
        left.setdefault(str(revision), []).append(str(statement))
    return Remembered(tuple(heads), tuple(Applied(*line) for line in lines), left)


def _row(connection: psycopg.Connection[Any], statement: LiteralString) -> tuple[Any, ...]:
    row = connection.execute(statement).fetchone()
    assert row is not None
    return row


def person() -> str:
    """Return who sits at the keyboard, as far as the machine knows."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a container without a passwd entry
        name = "?"
    return f"{name}@{platform.node()}"
