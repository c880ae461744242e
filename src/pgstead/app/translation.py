"""From what SQLAlchemy and the drivers raise to what it means; the same for asyncpg and psycopg."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from sqlalchemy import MetaData
from sqlalchemy.exc import DBAPIError, InterfaceError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm.exc import StaleDataError

from pgstead.app import errors
from pgstead.app.errors import ConstraintError, DatabaseError, Violation

_LOST = frozenset({"57P01", "57P02", "57P03", "57P04", "57P05", "25P03", "25P04", "53300"})
_AGAIN = frozenset({"40001", "40P01"})
_SLOW = frozenset({"57014", "55P03"})
_SCHEMA = frozenset({"42P01", "42703", "42883", "3F000"})
_MISFIT = frozenset({"26000", "42P05"})


def translate(
    error: BaseException, metadata: MetaData | None = None, *, committing: bool = False
) -> DatabaseError | None:
    """Return what an error of SQLAlchemy means, or None where it is none of a database.

    `metadata` tells the columns of a constraint, which the server does not. Lost while
    `committing`, a transaction may have been done or not; only what the server itself says about
    a COMMIT (a SQLSTATE) is certain.
    """
    if isinstance(error, DatabaseError):
        return error
    if isinstance(error, PoolTimeoutError):
        return errors.PoolExhaustedError(
            "no connection of the pool became free in time",
            hint="try again later; the operator finds `pool` in /health/db",
        )
    if isinstance(error, StaleDataError):
        return errors.LostUpdateError(
            "the row was changed or deleted by somebody else in between",
            hint="read it again, apply the change to what is there now, and send it again",
        )
    if not isinstance(error, DBAPIError):
        return None
    sqlstate: str = getattr(error.orig, "sqlstate", None) or ""
    if found := _of_preparing(error, sqlstate):
        return found
    if _is_lost(error, sqlstate) or (committing and sqlstate in ("", "40003")):
        return _lost(sqlstate, committing=committing)
    return _of_state(error, sqlstate, metadata)


def _is_lost(error: DBAPIError, sqlstate: str) -> bool:
    if sqlstate[:2] == "08" or sqlstate in _LOST or error.connection_invalidated:
        return True
    if sqlstate:
        return False
    # psycopg tells a refused connection, asyncpg a closed one, without any SQLSTATE; asyncpg's
    # other InterfaceErrors are misuse of it, which no other connection would cure
    closed = isinstance(error, InterfaceError) and "closed" in str(error.orig)
    return closed or type(error.orig).__name__ == "OperationalError"


def _lost(sqlstate: str, *, committing: bool) -> DatabaseError:
    if committing:
        return errors.CommitUnknownError(
            "the connection was lost while committing: the change may have been made or not",
            hint="read before you send it again",
            sqlstate=sqlstate,
        )
    return errors.UnavailableError(
        "the connection to the database was lost or refused",
        hint="nothing was changed; try again",
        sqlstate=sqlstate,
    )


def _of_preparing(error: DBAPIError, sqlstate: str) -> DatabaseError | None:
    """Tell what prepared statements do: the schema changed, or a pooler mixed them up."""
    told = str(error.orig)
    kinds = {kind.__name__ for kind in type(error.orig).__mro__}
    # of asyncpg's InvalidCachedStatementError SQLAlchemy keeps neither SQLSTATE nor cause
    if (
        "InvalidCachedStatementError" in kinds
        or (sqlstate == "0A000" and "cached plan" in told)
        or (sqlstate == "XX000" and "cache lookup failed" in told)
    ):
        return errors.StalePlanError(
            "the schema changed under a statement that was prepared before",
            hint="nothing was changed; try again",
            sqlstate=sqlstate,
        )
    if sqlstate in _MISFIT or (sqlstate == "08P01" and "bind message supplies" in told):
        return errors.PoolerMisfitError(
            "a prepared statement is not the one that was prepared",
            hint="the pooler shares connections between transactions: let `Database` choose the"
            " driver's settings, and use no PREPARE of your own",
            sqlstate=sqlstate,
        )
    return None


# by SQLSTATE or its class: what it is, what is said, what to do
_MEANINGS: dict[str, tuple[type[DatabaseError], str, str]] = {
    "22": (
        errors.ValueRefusedError,
        "a value does not fit: too long, out of range or not representable",
        "shorten or correct the value",
    ),
    "54": (
        errors.ValueRefusedError,
        "a value or a statement is larger than the server can take",
        "send less at once",
    ),
    "53": (
        errors.ResourcesError,
        "the server has no disk or memory left for this",
        "nothing was changed; the operator is to make room (`pgstead status`)",
    ),
    "25006": (
        errors.ReadOnlyServerError,
        "the server or the transaction takes no changes",
        "after a failover: try again, the next connection leads to the new primary",
    ),
    "42501": (errors.AccessDeniedError, "the role of this application may not do that", ""),
    **dict.fromkeys(
        _AGAIN,
        (
            errors.AgainError,
            "two transactions were in each other's way; this one did nothing",
            "send it again",
        ),
    ),
    **dict.fromkeys(
        _SLOW,
        (
            errors.TooSlowError,
            "a statement or a lock took too long",
            "nothing was changed; try again",
        ),
    ),
    **dict.fromkeys(
        _SCHEMA,
        (
            errors.SchemaMismatchError,
            "the database has not the schema that this application was built for",
            "run `alembic upgrade head` (or `pgstead up`)",
        ),
    ),
}


def _of_state(error: DBAPIError, sqlstate: str, metadata: MetaData | None) -> DatabaseError:
    if sqlstate[:2] == "23":
        return _constraint(error, sqlstate, metadata)
    if sqlstate == "42501" and "row-level security" in str(error.orig):
        return errors.ForeignRowError(
            "the row would belong to somebody else, or to nobody",
            hint="write it as its tenant or user: the session says for whom it is",
            sqlstate=sqlstate,
        )
    meaning = _MEANINGS.get(sqlstate) or _MEANINGS.get(sqlstate[:2])
    if meaning is None:
        return DatabaseError(
            "the database refused a statement of this application",
            hint="the log has the statement under this correlation id",
            sqlstate=sqlstate,
        )
    kind, says, advice = meaning
    return kind(says, hint=advice, sqlstate=sqlstate)


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
            return errors.UniqueError(violation)
        case "23P01":
            return errors.ExclusionError(violation)
        case "23514":
            return errors.CheckError(violation)
        case "23502":
            return errors.NotNullError(violation)
        case "23503" | "23001":
            pointed_at = sqlstate == "23001" or _deletes(error)
            return (errors.StillReferencedError if pointed_at else errors.ForeignKeyError)(
                violation
            )
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
