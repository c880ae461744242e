"""Rows that a migration cannot have: which constraint, how many of them, and where they are.

The server names one of them, with its values, and stops. Here they are looked for afterwards, when
the revision is rolled back, and told by their keys: a number or a UUID says nothing about anybody;
where the key is a text, the row's place in the table stands in for it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import sql

from pgstead.app.migration_clauses import (
    Check,
    Clause,
    Exclusion,
    Reference,
    Unique,
    clauses,
    columns,
    plain,
)
from pgstead.app.migration_demands import (
    Demand,
    Table,
    columns_of,
    of_catalog,
    of_clause,
    of_column,
)
from pgstead.app.migration_watch import shown
from pgstead.errors import SteadError

_KINDS = {
    "23001": "foreign key",
    "23502": "NOT NULL",
    "23503": "foreign key",
    "23505": "unique constraint",
    "23514": "check constraint",
    "23P01": "exclusion constraint",
}
_ASKED: Mapping[str, type[Clause]] = {
    "23503": Reference,
    "23505": Unique,
    "23514": Check,
    "23P01": Exclusion,
}
_DATA = "22"  # the class of values that cannot be converted
_HINTS = {
    "23001": "delete the rows that refer to it first, or give the key ON DELETE",
    "23502": "fill them in a revision before this one, in batches; a new column needs a default",
    "23503": "add what they refer to, set them to NULL or delete them, in a revision before this"
    " one; new rows are kept out at once by ADD CONSTRAINT ... NOT VALID, then VALIDATE",
    "23505": "decide which of the rows stay as they are, change the others in a revision before"
    " this one",
    "23514": "change them in a revision before this one; new rows are kept out at once by"
    " ADD CONSTRAINT ... NOT VALID, then VALIDATE",
    "23P01": "decide which of the rows stay as they are, change the others in a revision before"
    " this one",
}
_HINT_OF_TYPES = "change them in a revision before this one, or say USING what becomes of them"
_WRITES = re.compile(r"\s*(?:INSERT|UPDATE|DELETE|MERGE|COPY|WITH|TRUNCATE)\b", re.IGNORECASE)
_INSIDE = re.compile(r'^SQL statement "(.*?)"$', re.DOTALL | re.MULTILINE)  # of a DO block
_QUOTED = re.compile(r'"[^"]*"')

_COUNTED = 100_000  # rows; beyond that it does not matter how many
_SHOWN = 5
_CHUNK = 5_000
_OPEN = 10.0  # seconds to look where nobody has to wait for it
_FORCED = 1.0  # and where everybody has to


@dataclass
class Violating:
    """The rows that were found."""

    rows: int = 0
    whole: bool = False  # there are no more
    keys: list[tuple[object, ...]] = field(default_factory=list[tuple[object, ...]])


@dataclass(frozen=True, slots=True)
class _Told:
    """What the server said: no values."""

    state: str
    table: Table | None
    column: str
    constraint: str
    statement: str

    @property
    def writes(self) -> bool:
        """Say whether the statement changes rows itself."""
        return _WRITES.match(self.statement) is not None


def explained(
    connection: psycopg.Connection[Any], error: Exception, earlier: Sequence[str]
) -> SteadError | None:
    """Return what rows do not let a migration do; None where that is not why it failed.

    `connection` is the one that failed, rolled back; `earlier` are statements of the same revision.
    """
    original = getattr(error, "orig", error)
    if not isinstance(original, psycopg.Error):
        return None
    state = original.sqlstate or ""
    statement = _statement(error, original)
    demanded = tuple(_demanded(statement, earlier))
    if state not in _KINDS and not (state.startswith(_DATA) and demanded):
        return None
    told, demand, found = _told(original, state, statement), None, None
    names: tuple[str, ...] = (told.column,) if told.column else ()
    if not connection.closed:
        connection.rollback()
        with suppress(psycopg.Error):  # what cannot be found out is not told
            demand = None if told.writes else _demand(connection, told, demanded)
            found = look(connection, demand) if demand is not None else None
            names = _columns(connection, told, demanded) if demand is None else demand.columns
            connection.rollback()
    return _in_words(told, demand, found, names)


def without_values(original: Any) -> str:
    """Return the words of an error of the server without the values that it names."""
    state = getattr(original, "sqlstate", None) or ""
    primary = getattr(getattr(original, "diag", None), "message_primary", None)
    words = primary or " ".join(str(original).split())
    return _QUOTED.sub('"..."', words) if state.startswith(_DATA) else words


def look(connection: psycopg.Connection[Any], demand: Demand) -> Violating:
    """Count the rows that do not meet a demand; changes nothing.

    Forced row-level security hides rows from the owner too, so it is lifted in a transaction that
    is never committed. That takes ACCESS EXCLUSIVE: then it is over after a second.
    """
    found = Violating()
    with suppress(psycopg.Error), connection.transaction(force_rollback=True):
        connection.execute("SET LOCAL lock_timeout = '200ms'")
        forced = [table for table in demand.tables if table.forced]
        for table in forced:
            lift = sql.SQL("ALTER TABLE {} NO FORCE ROW LEVEL SECURITY")
            connection.execute(lift.format(table.identifier))
        if demand.before:
            connection.execute(demand.before)
        connection.execute(sql.SQL("DECLARE rows CURSOR FOR {}").format(demand.rows))
        _fetch(connection, found, time.monotonic() + (_FORCED if forced else _OPEN))
    return found


def _fetch(connection: psycopg.Connection[Any], found: Violating, until: float) -> None:
    while found.rows <= _COUNTED:
        left = max(1, round((until - time.monotonic()) * 1000))
        connection.execute(f"SET LOCAL statement_timeout = {left}".encode())
        rows = connection.execute(f"FETCH {_CHUNK} FROM rows".encode()).fetchall()
        found.rows += len(rows)
        found.keys += rows[: _SHOWN - len(found.keys)]
        if len(rows) < _CHUNK:
            found.whole = True
            return


def _statement(error: Exception, original: psycopg.Error) -> str:
    """Return the statement that failed: inside of a DO block the one that it was at."""
    inside = _INSIDE.search(original.diag.context or "")
    return inside[1] if inside else str(getattr(error, "statement", None) or "")


def _demanded(statement: str, earlier: Sequence[str]) -> Iterator[Clause]:
    """Yield what the statement demands, then what it may refer to: it was just added."""
    yield from clauses(statement)
    if "VALIDATE" in statement.upper():
        for text in reversed(earlier):
            yield from clauses(text)


def _told(original: psycopg.Error, state: str, statement: str) -> _Told:
    diag = original.diag
    table = Table(diag.schema_name or "public", diag.table_name) if diag.table_name else None
    return _Told(state, table, diag.column_name or "", diag.constraint_name or "", statement)


def _demand(
    connection: psycopg.Connection[Any], told: _Told, demanded: Sequence[Clause]
) -> Demand | None:
    if told.state == "23502":
        return None if told.table is None else of_column(connection, told.table, told.column)
    if told.state.startswith(_DATA):
        made = (of_clause(connection, clause, None) for clause in demanded)
        return next((demand for demand in made if demand and look(connection, demand).rows), None)
    if told.table is None:
        return None
    clause = _meant(told, demanded)
    if clause is None:
        return of_catalog(connection, told.table, told.constraint)
    return of_clause(connection, clause, told.table)


def _meant(told: _Told, demanded: Sequence[Clause]) -> Clause | None:
    """Return the clause that the server calls by the name of its constraint."""
    fitting = [c for c in demanded if isinstance(c, _ASKED.get(told.state, ()))]
    named = [c for c in fitting if plain(c.name) == told.constraint]
    return next(iter(named or [c for c in fitting if not c.name]), None)


def _columns(
    connection: psycopg.Connection[Any], told: _Told, demanded: Sequence[Clause]
) -> tuple[str, ...]:
    """Return the columns where rows could not be looked for."""
    if told.column or told.table is None:
        return (told.column,) if told.column else ()
    clause = None if told.writes else _meant(told, demanded)
    if clause is None:
        return columns_of(connection, told.table, told.constraint)
    return columns(clause)


def _in_words(
    told: _Told, demand: Demand | None, found: Violating | None, names: Sequence[str]
) -> SteadError:
    table = demand.table if demand else told.table
    of = f" of {table}" if table is not None else ""
    listed = f" ({shown(', '.join(names))})" if names else ""
    name = f" {told.constraint}" if told.constraint else ""
    what = f"rows violate {_KINDS.get(told.state, 'a type')}{name}{of}"
    if demand and demand.type:
        what = f"rows do not fit the type {demand.type}{of}"
    return SteadError(
        f"{what}{listed}: {_how_many(told, demand, found)}; statement: {shown(told.statement)}",
        hint="nothing of this revision was kept, or `pgstead migrate status` says what was;"
        f" {_HINTS.get(told.state, _HINT_OF_TYPES)}",
    )


def _how_many(told: _Told, demand: Demand | None, found: Violating | None) -> str:
    if told.writes:
        return "the statement itself would write or leave such rows"
    if demand is None or found is None:
        return "how many could not be told, it is all rolled back"
    if not found.rows:
        return (
            "none is left after the rollback" if found.whole else "there was no time to count them"
        )
    number = found.rows if found.whole else f"at least {found.rows}"
    names = ", ".join(demand.table.key) or "ctid"
    names = f"({names})" if len(demand.table.key) > 1 else names
    more = ", ..." if found.rows > len(found.keys) else ""
    keys = [str(k[0]) if len(k) == 1 else f"({', '.join(map(str, k))})" for k in found.keys]
    return f"{number} row(s), {names} {', '.join(keys)}{more}"
