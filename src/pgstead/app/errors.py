"""What can go wrong with a database, as types; the same for asyncpg and psycopg.

    DatabaseError                     500  what has no better name: its SQLSTATE says more
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
    │   ├── BreakerOpenError          503  not even asked: it failed a moment ago
    │   ├── TooSlowError              503  statement or lock time-out
    │   ├── ReadOnlyServerError       503  a standby, mostly after a failover
    │   ├── StalePlanError            503  the schema changed under a prepared statement
    │   ├── ResourcesError            503  disk or memory of the server
    │   ├── PoolerMisfitError         503  driver and pooler disagree on prepared statements
    │   └── NotCommittedError         503  lost while committing, and found not to be done
    └── CommitUnknownError            503  lost while committing: done or not, nobody knows

Messages and attributes hold names, never values: the server's own DETAIL does hold values (of
the key, of the whole row), so it is neither shown nor logged.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from pgstead.errors import SteadError


class Phase(StrEnum):
    """When it went wrong. A failing BEGIN is of the body: nothing can have been done."""

    CONNECT = "connect"
    BODY = "body"
    COMMIT = "commit"


class DatabaseError(SteadError):
    """The database refused or failed."""

    code = "database-error"
    status = 500
    retry_after: int | None = None
    phase = Phase.BODY

    def __init__(
        self, message: str, *, hint: str = "", sqlstate: str = "", phase: Phase | None = None
    ) -> None:
        """Keep the SQLSTATE, where the server gave one, and when it was."""
        super().__init__(message, hint=hint)
        self.sqlstate = sqlstate
        self.phase = phase or self.phase


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
    phase = Phase.CONNECT


class BreakerOpenError(UnavailableError):
    """The database was not asked, because it failed a moment ago."""

    code = "breaker-open"
    phase = Phase.CONNECT

    def __init__(self, message: str, *, hint: str = "", retry_after: int) -> None:
        """Say in how many seconds it is asked again."""
        super().__init__(message, hint=hint)
        self.retry_after = retry_after


class TooSlowError(UnavailableError):
    """A statement or a lock took too long."""

    code = "too-slow"


class ReadOnlyServerError(UnavailableError):
    """The server takes no changes: it is a standby, or the transaction is read-only."""

    code = "read-only"


class StalePlanError(UnavailableError):
    """The schema changed under a statement that was prepared before."""

    code = "stale-plan"


class ResourcesError(UnavailableError):
    """The server has no disk or memory left for this."""

    code = "out-of-resources"
    retry_after = 30


class PoolerMisfitError(UnavailableError):
    """Driver and pooler disagree on prepared statements; the next answer may be a wrong one."""

    code = "pooler-misfit"
    retry_after = 30


class NotCommittedError(UnavailableError):
    """The connection was lost while committing, and the server says that nothing was done."""

    code = "not-committed"


class CommitUnknownError(DatabaseError):
    """The connection was lost while committing."""

    code = "commit-unknown"
    status = 503
    phase = Phase.COMMIT
