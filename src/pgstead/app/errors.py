"""What can go wrong with a database, as types; the same for asyncpg and psycopg.

    DatabaseError                     500
    ├── ConstraintError               422  names constraint, table and columns
    │   ├── UniqueError               409
    │   ├── ExclusionError            409
    │   ├── ForeignKeyError           422  the row that is pointed at does not exist
    │   ├── StillReferencedError      409  other rows point at this one
    │   ├── CheckError                422
    │   └── NotNullError              422
    ├── ValueRefusedError             422  too long, out of range, not representable
    ├── LostUpdateError               409  somebody else changed the row in between
    ├── AgainError                    409  serialization failure or deadlock: nothing was done
    ├── AccessDeniedError             403  the role may not do that
    │   └── ForeignRowError           403  row-level security: the row would be somebody else's
    ├── SchemaMismatchError           503  the database is at another revision
    ├── UnavailableError              503  refused, lost, starting, too many
    │   ├── LoginRefusedError         503
    │   ├── PoolExhaustedError        503
    │   └── TooSlowError              503  statement or lock time-out
    └── CommitUnknownError            503  lost while committing: done or not, nobody knows

Messages and attributes hold names, never values: the server's own DETAIL does hold values (of
the key, of the whole row), so it is neither shown nor logged.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import MetaData
from sqlalchemy.exc import DBAPIError, InterfaceError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm.exc import StaleDataError

from pgstead.errors import SteadError


class DatabaseError(SteadError):
    """The database refused or failed."""

    code = "database-error"
    status = 500
    retry_after: int | None = None

    def __init__(self, message: str, *, hint: str = "", sqlstate: str = "") -> None:
        """Keep the SQLSTATE, where the server gave one."""
        super().__init__(message, hint=hint)
        self.sqlstate = sqlstate


@dataclass(frozen=True, slots=True)
class Violation:
    """The names that the server told about a violated constraint."""

    sqlstate: str
    constraint: str
    table: str
    columns: tuple[str, ...]

    @property
    def where(self) -> str:
        """`users.email`, `users (a, b)` or `users`."""
        if len(self.columns) == 1:
            return f"{self.table}.{self.columns[0]}"
        return f"{self.table} ({', '.join(self.columns)})" if self.columns else self.table


class ConstraintError(DatabaseError):
    """A constraint was violated."""

    code = "constraint-violated"
    status = 422
    says = "{where} violates {constraint}"
    advice = "correct the value"

    def __init__(self, violation: Violation) -> None:
        """Make the message from the names."""
        super().__init__(
            self.says.format(where=violation.where, constraint=violation.constraint),
            hint=self.advice.format(columns=", ".join(violation.columns) or violation.table),
            sqlstate=violation.sqlstate,
        )
        self.violation = violation


class UniqueError(ConstraintError):
    """Such a row exists already."""

    code = "unique-violation"
    status = 409
    says = "{where} has this value already (constraint {constraint})"
    advice = "choose another {columns}, or change the row that has it"


class ExclusionError(ConstraintError):
    """A row in conflict exists already."""

    code = "exclusion-violation"
    status = 409
    says = "{where} is in conflict with another row (constraint {constraint})"
    advice = "choose another {columns}, or change the row that is in conflict"


class ForeignKeyError(ConstraintError):
    """The row that is pointed at does not exist."""

    code = "foreign-key-violation"
    says = "{where} points at a row that does not exist (constraint {constraint})"
    advice = "create that row first, or correct {columns}"


class StillReferencedError(ConstraintError):
    """Other rows point at this one."""

    code = "still-referenced"
    status = 409
    says = "{where} still points at this row (constraint {constraint})"
    advice = "delete or change the rows that point at it first"


class CheckError(ConstraintError):
    """A value is not allowed."""

    code = "check-violation"
    says = "{where} has a value that is not allowed (constraint {constraint})"
    advice = "correct {columns}"


class NotNullError(ConstraintError):
    """A value is missing."""

    code = "not-null-violation"
    says = "{where} has no value"
    advice = "give {columns}"


class ValueRefusedError(DatabaseError):
    """A value does not fit its type."""

    code = "value-refused"
    status = 422


class LostUpdateError(DatabaseError):
    """Somebody else changed the row in between."""

    code = "lost-update"
    status = 409


class AgainError(DatabaseError):
    """Two transactions were in each other's way; this one did nothing."""

    code = "try-again"
    status = 409
    retry_after = 1


class AccessDeniedError(DatabaseError):
    """The role may not do that."""

    code = "access-denied"
    status = 403


class ForeignRowError(AccessDeniedError):
    """The row would be somebody else's."""

    code = "foreign-row"


class SchemaMismatchError(DatabaseError):
    """The database is at another revision than the application."""

    code = "schema-mismatch"
    status = 503
    retry_after = 30


class UnavailableError(DatabaseError):
    """The database does not answer."""

    code = "database-unavailable"
    status = 503
    retry_after = 2


class LoginRefusedError(UnavailableError):
    """The database refused the application's login."""

    code = "login-refused"


class PoolExhaustedError(UnavailableError):
    """All connections of the pool are in use."""

    code = "pool-exhausted"


class TooSlowError(UnavailableError):
    """A statement or a lock took too long."""

    code = "too-slow"


class CommitUnknownError(DatabaseError):
    """The connection was lost while committing."""

    code = "commit-unknown"
    status = 503


_LOST = frozenset({"57P01", "57P02", "57P03", "25P03", "25P04", "53300"})
_AGAIN = frozenset({"40001", "40P01"})
_SLOW = frozenset({"57014", "55P03"})
_SCHEMA = frozenset({"42P01", "42703", "42883", "3F000"})


def translate(
    error: BaseException, metadata: MetaData | None = None, *, committing: bool = False
) -> DatabaseError | None:
    """Return what an error of SQLAlchemy means, or None where it is nothing of a database.

    `metadata` tells the columns of a constraint, which the server does not. Lost while
    `committing`, a transaction may have been done or not.
    """
    if isinstance(error, DatabaseError):
        return error
    if isinstance(error, PoolTimeoutError):
        return PoolExhaustedError(
            "no connection of the pool became free in time",
            hint="try again later; the operator finds `pool` in /health/db",
        )
    if isinstance(error, StaleDataError):
        return LostUpdateError(
            "the row was changed or deleted by somebody else in between",
            hint="read it again, apply the change to what is there now, and send it again",
        )
    if not isinstance(error, DBAPIError):
        return None
    sqlstate = _sqlstate(error)
    if _is_lost(error, sqlstate):
        if committing:
            return CommitUnknownError(
                "the connection was lost while committing: the change may have been made or not",
                hint="read before you send it again",
                sqlstate=sqlstate,
            )
        return UnavailableError(
            "the connection to the database was lost or refused",
            hint="nothing was changed; try again",
            sqlstate=sqlstate,
        )
    return _of_state(error, sqlstate, metadata)


def _of_state(error: DBAPIError, sqlstate: str, metadata: MetaData | None) -> DatabaseError | None:
    if sqlstate[:2] == "23":
        return _constraint(error, sqlstate, metadata)
    if sqlstate[:2] == "22":
        return ValueRefusedError(
            "a value does not fit: too long, out of range or not representable",
            hint="shorten or correct the value",
            sqlstate=sqlstate,
        )
    if sqlstate in _AGAIN:
        return AgainError(
            "two transactions were in each other's way; this one did nothing",
            hint="send it again",
            sqlstate=sqlstate,
        )
    if sqlstate in _SLOW:
        return TooSlowError(
            "a statement or a lock took too long",
            hint="nothing was changed; try again",
            sqlstate=sqlstate,
        )
    if sqlstate == "42501" and "row-level security" in str(error.orig):
        return ForeignRowError(
            "the row would belong to somebody else, or to nobody",
            hint="write it as its tenant or user: the session says for whom it is",
            sqlstate=sqlstate,
        )
    if sqlstate == "42501":
        return AccessDeniedError("the role of this application may not do that", sqlstate=sqlstate)
    if sqlstate in _SCHEMA:
        return SchemaMismatchError(
            "the database has not the schema that this application was built for",
            hint="run `alembic upgrade head` (or `pgstead up`)",
            sqlstate=sqlstate,
        )
    return None


def _sqlstate(error: DBAPIError) -> str:
    return getattr(error.orig, "sqlstate", None) or ""


def _is_lost(error: DBAPIError, sqlstate: str) -> bool:
    if sqlstate[:2] == "08" or sqlstate in _LOST or error.connection_invalidated:
        return True
    # psycopg tells a refused connection, asyncpg a closed one, without any SQLSTATE
    name = type(error.orig).__name__
    return not sqlstate and (isinstance(error, InterfaceError) or name == "OperationalError")


def _diagnosis(error: DBAPIError) -> Any:
    """Return what names constraint, table and column: psycopg's `diag`, asyncpg's own error."""
    original: BaseException | None = error.orig
    return getattr(original, "diag", None) or getattr(original, "__cause__", None)


def _constraint(error: DBAPIError, sqlstate: str, metadata: MetaData | None) -> ConstraintError:
    told = _diagnosis(error)
    table = getattr(told, "table_name", None) or ""
    constraint = getattr(told, "constraint_name", None) or ""
    column = getattr(told, "column_name", None)
    columns = (column,) if column else _columns(metadata, table, constraint)
    violation = Violation(sqlstate, constraint, table, columns)
    match sqlstate:
        case "23505":
            return UniqueError(violation)
        case "23P01":
            return ExclusionError(violation)
        case "23514":
            return CheckError(violation)
        case "23502":
            return NotNullError(violation)
        case "23503" | "23001":
            pointed_at = sqlstate == "23001" or _deletes(error)
            return (StillReferencedError if pointed_at else ForeignKeyError)(violation)
        case _:
            return ConstraintError(violation)


def _deletes(error: DBAPIError) -> bool:
    """Tell the two sides of a foreign key: the server names the same table for both."""
    return (error.statement or "").lstrip().upper().startswith("DELETE")


def _columns(metadata: MetaData | None, table_name: str, constraint: str) -> tuple[str, ...]:
    table = metadata.tables.get(table_name) if metadata is not None else None
    if table is None:
        return ()
    named: list[Any] = [*table.constraints, *table.indexes]
    for candidate in named:
        columns: Iterable[Any] = getattr(candidate, "columns", ())
        if candidate.name == constraint and (names := tuple(c.name for c in columns)):
            return names
    # a CHECK whose condition is text knows no columns; its name does (the naming convention)
    middle = re.sub(rf"^{re.escape(table_name)}_|_(check|immutable)$", "", constraint)
    return (middle,) if middle in table.columns else ()
