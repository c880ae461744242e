"""Stages: the transactions that one change of the schema is cut into.

What a stage executes goes through Alembic, so the runner notes it in the transaction that commits
it, and a run that was killed goes on behind it. What a stage only looks at goes to the driver, and
is looked at anew in each run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any, Final, cast

import psycopg
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from psycopg.rows import dict_row

from pgstead.app import policies
from pgstead.app.migration_runner import Runner
from pgstead.app.migration_statements import driver_of
from pgstead.app.policy_operations import exactly
from pgstead.errors import SteadError

RUNNER: Final = "pgstead_runner"  # the option of Alembic's context that holds the Runner
LONGEST: Final = 63  # bytes of an identifier (NAMEDATALEN - 1)

Row = Mapping[str, Any]


class StagedError(SteadError):
    """A change in stages that cannot be made as it is asked for."""

    code = "staged-change"


class ViolatedError(StagedError):
    """Rows that are there violate what a migration demands."""

    code = "rows-violate"


class Stages:
    """One change on its way: executes, looks, and says where a transaction ends."""

    def __init__(self, operations: Operations) -> None:
        """Take the operations of the revision that runs. Raises StagedError where it cannot."""
        self._operations = operations
        self._migrations: MigrationContext = operations.migration_context
        self.online = not self._migrations.as_sql
        if self.online and self.runner is None:
            raise StagedError(
                "this change commits between its stages, and the connection is in somebody else's"
                " transaction",
                hint='hand an Engine in config.attributes["connection"], not a Connection',
            )

    @property
    def runner(self) -> Runner | None:
        """Who runs the revision; nobody where a script is written."""
        return cast("Runner | None", self._migrations.opts.get(RUNNER))

    @property
    def running(self) -> Runner:
        """Who runs the revision, to be asked online only."""
        assert self.runner is not None
        return self.runner

    @property
    def driver(self) -> psycopg.Connection[Any]:
        """The driver's own connection: what it does is not noted."""
        assert self._migrations.connection is not None
        return driver_of(self._migrations.connection)

    def execute(self, statement: str) -> None:
        """Execute a statement, or write it into the script."""
        self._operations.execute(exactly(statement))

    @contextmanager
    def apart(self) -> Generator[None]:
        """End the transaction; each statement of the block is one of its own."""
        with self._migrations.autocommit_block():
            yield

    def commit(self, look: Callable[[], None] | None = None) -> None:
        """End the transaction, so that no lock of it lasts; look at something online meanwhile."""
        with self.apart():
            if look is not None and self.online:
                look()

    def rows(self, query: str, /, **values: object) -> list[Row]:
        """Look: return rows as mappings."""
        return rows(self.driver, query, **values)


def rows(connection: psycopg.Connection[Any], query: str, /, **values: object) -> list[Row]:
    """Return the rows of a query as mappings."""
    with connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute(query.encode(), values)
        return cast("list[Row]", cursor.fetchall())


def quoted(name: str, schema: str | None = None) -> str:
    """Return an identifier as a statement may hold it."""
    return policies.quoted(name, schema)


def listed(names: tuple[str, ...]) -> str:
    """Return identifiers with commas between them."""
    return ", ".join(quoted(name) for name in names)


def name_of(*parts: str) -> str:
    """Return a name made of parts, shortened where the server would cut it without a word."""
    whole = "_".join(parts)
    if len(whole.encode()) <= LONGEST:
        return whole
    mark = hashlib.sha256(whole.encode()).hexdigest()[:8]
    kept = whole.encode()[: LONGEST - len(mark) - 1].decode(errors="ignore")
    return f"{kept}_{mark}"
