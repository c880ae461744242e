"""Rows changed in batches by key: each batch a transaction, each row once, resumable.

A batch locks the row that says how far the backfill is, changes the rows whose keys come next, and
moves on, all in one transaction. So whatever ends a run, no row is done twice and none left out,
and of two batches at once (a killed runner's last one may still be at work) the later waits.
Rows that come or change while it runs are the application's to fill: by a default, a trigger
(`expand`), or because it knows the column.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from alembic import op
from alembic.operations import MigrateOperation, Operations

from pgstead.app.staged import batches, scripted
from pgstead.app.staged.batches import Work
from pgstead.app.staged.catalog import Table, table_of
from pgstead.app.staged.pace import Pace
from pgstead.app.staged.stages import StagedError, Stages, quoted


@dataclass(frozen=True)
class BackfillOp(MigrateOperation):
    """Change the rows of a table in batches. It has no reverse: what a row was is not kept."""

    table: str
    values: tuple[tuple[str, str], ...]  # column, SQL
    where: str | None = None
    schema: str | None = None
    pace: Pace = field(default_factory=Pace)


def backfill(
    table: str,
    values: Mapping[str, str],
    *,
    where: str | None = None,
    schema: str | None = None,
    pace: Pace | None = None,
) -> None:
    """Change all rows of a table, or those that a condition names, in batches by primary key.

    `values` are SQL by column, of the row as it is: `{"price_cents": "price * 100"}`.
    Raises StagedError where the table has no primary key, where row-level security hides rows, and
    where a value cannot be computed: that row is named by its key.
    """
    op.invoke(BackfillOp(table, tuple(values.items()), where, schema, pace or Pace()))


@Operations.implementation_for(BackfillOp)
def _backfill(operations: Operations, operation: BackfillOp) -> None:
    fill(Stages(operations), operation)


def fill(stages: Stages, operation: BackfillOp) -> None:
    """Do it, outside of the revision's transaction."""
    target = quoted(operation.table, operation.schema)
    columns = ", ".join(name for name, _ in operation.values)
    mark = hashlib.sha256(repr((operation.values, operation.where)).encode()).hexdigest()[:12]
    work = Work(
        name=f"{operation.table}: {columns} ({mark})",
        sets=", ".join(f"{quoted(c)} = {value}" for c, value in operation.values),
        where=operation.where,
        pace=operation.pace,
    )
    with stages.apart():
        if not stages.online:
            stages.execute(scripted.block(work, target))
            return
        table = table_of(stages, operation.table, operation.schema)
        _refuse(stages, table, [c for c, _ in operation.values])
        batches.run(stages, table, work)


def refuse_keyless(table: Table) -> None:
    """Raise StagedError for a table without a primary key."""
    if not table.key:
        raise StagedError(
            f"{table.name} has no primary key: there is no order to go by in batches",
            hint="give it one first (`staged.add_not_null`, `staged.create_index(unique=True)`,"
            " then ALTER TABLE ... ADD PRIMARY KEY USING INDEX), or change the rows in one"
            " statement where they are few",
        )


def _refuse(stages: Stages, table: Table, columns: list[str]) -> None:
    """Raise StagedError where it would do nothing, or could not be gone on with."""
    table.needs(*columns)
    table.needs_every_row("a backfill")
    refuse_keyless(table)
    if changed := {k.name for k in table.key} & set(columns):
        raise StagedError(
            f"a backfill of {table.name} goes by its key, and cannot change it"
            f" ({', '.join(sorted(changed))})",
            hint="expand and contract the column",
        )
    if not stages.running.recorded:
        raise StagedError(
            "there is no ledger in which a backfill could keep how far it is",
            hint="the role that migrates needs CREATE on the database, once",
        )
