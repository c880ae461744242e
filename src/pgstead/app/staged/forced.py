"""All rows of a table that forced row-level security hides from its owner."""

from __future__ import annotations

import logging
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from alembic import op
from alembic.operations import MigrateOperation, Operations

from pgstead.app.migration_runner import Patience
from pgstead.app.staged.stages import StagedError, Stages, quoted, rows
from pgstead.errors import BusyError

_log = logging.getLogger("alembic.pgstead")

_SECURED = "SELECT relrowsecurity AS on FROM pg_class WHERE oid = to_regclass(%(table)s)"


@dataclass(frozen=True)
class BindOwnerOp(MigrateOperation):
    """Let row-level security bind the owner of a table, or not."""

    table: str
    bound: bool
    schema: str | None = None
    failed: bool = False  # what was done meanwhile, and is rolled back

    def reverse(self) -> BindOwnerOp:
        """Return what leads back."""
        return BindOwnerOp(self.table, not self.bound, self.schema)


@contextmanager
def every_row(table: str, *, schema: str | None = None) -> Generator[None]:
    """Let the owner see all rows of a table, and bind it again, whatever happens in the block.

    Nobody else sees more meanwhile. It is forced again also where the block fails; a run that was
    killed leaves that to the next one. Raises StagedError for a table without row-level security.
    """
    op.invoke(BindOwnerOp(table, bound=False, schema=schema))
    try:
        yield
    except BaseException:
        op.invoke(BindOwnerOp(table, bound=True, schema=schema, failed=True))
        raise
    op.invoke(BindOwnerOp(table, bound=True, schema=schema))


@Operations.implementation_for(BindOwnerOp)
def _bind(operations: Operations, operation: BindOwnerOp) -> None:
    stages = Stages(operations)
    table = quoted(operation.table, operation.schema)
    statement = f"ALTER TABLE {table} {'' if operation.bound else 'NO '}FORCE ROW LEVEL SECURITY"
    if not stages.online:
        stages.execute(statement)
        stages.commit()
        return
    beside = stages.running.beside
    found = rows(beside, _SECURED, table=table)
    if not found or not found[0]["on"]:
        raise StagedError(
            f"{operation.table} has no row-level security that would hide rows",
            hint="leave `every_row` out",
        )
    # whatever locks the table is to be over: it would be waited for from beside
    if operation.failed:
        stages.running.abandon()
    else:
        stages.commit()
    _switch(beside, statement)


def _switch(beside: psycopg.Connection[Any], statement: str) -> None:
    """Change it from beside: the next run does so anew, wherever this one ends."""
    patience = Patience()
    for attempt in range(1, patience.tries + 1):
        timeout = round(patience.lock_timeout(attempt) * 1000)
        try:
            # one message is one transaction: the time-out goes with it
            beside.execute(f"SET LOCAL lock_timeout = {timeout}; {statement}".encode())
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
            _log.info("no lock within %d ms, giving way: %s", timeout, statement)
            time.sleep(patience.pause(attempt))
        else:
            return
    raise BusyError(
        f"a lock was not to be had in {patience.tries} tries: {statement}",
        hint="run it again when the table is used less; or execute that statement by hand",
    )
