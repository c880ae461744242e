"""Constraints of tables that are written to: added without a look at the rows, then validated.

ADD CONSTRAINT ... NOT VALID takes its lock for a moment; VALIDATE CONSTRAINT reads all rows under
SHARE UPDATE EXCLUSIVE, which no reader and no writer waits for
(https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-NOTES). Rows that are
in the way are counted before anything is added: a constraint that is NOT VALID already refuses
every change of such a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from alembic import op
from alembic.operations import MigrateOperation, Operations
from sqlalchemy.exc import IntegrityError

from pgstead.app.staged import indexes, violations
from pgstead.app.staged.catalog import Table, table_of
from pgstead.app.staged.indexes import Index
from pgstead.app.staged.stages import StagedError, Stages, ViolatedError, listed, name_of, quoted

_NOT_VALID_BEFORE = 18  # a foreign key of a partitioned table can be NOT VALID from 18 on


@dataclass(frozen=True)
class NotNullOp(MigrateOperation):
    """Set NOT NULL of a column, or drop it."""

    table: str
    column: str
    schema: str | None = None
    drop: bool = False

    def reverse(self) -> NotNullOp:
        """Return what leads back."""
        return NotNullOp(self.table, self.column, self.schema, not self.drop)


@dataclass(frozen=True)
class CheckOp(MigrateOperation):
    """Add a check, or drop it; what it demands is told, so that the way back is known."""

    name: str
    table: str
    condition: str
    schema: str | None = None
    drop: bool = False

    def reverse(self) -> CheckOp:
        """Return what leads back."""
        return CheckOp(self.name, self.table, self.condition, self.schema, not self.drop)


@dataclass(frozen=True)
class ForeignKey:
    """A foreign key as a revision tells it."""

    name: str
    table: str
    columns: tuple[str, ...]
    refers: str
    to: tuple[str, ...]
    actions: str = ""  # ON DELETE ..., DEFERRABLE ...
    index: str | None = None  # the name of the index to make with it
    schema: str | None = None
    refers_schema: str | None = None


@dataclass(frozen=True)
class ForeignKeyOp(MigrateOperation):
    """Add a foreign key, or drop it."""

    key: ForeignKey
    drop: bool = False

    def reverse(self) -> ForeignKeyOp:
        """Return what leads back."""
        return ForeignKeyOp(self.key, not self.drop)


@dataclass(frozen=True)
class UniqueOp(MigrateOperation):
    """Add a unique constraint, or drop it."""

    index: Index
    deferrable: str = ""
    drop: bool = False

    def reverse(self) -> UniqueOp:
        """Return what leads back."""
        return UniqueOp(self.index, self.deferrable, not self.drop)


def add_not_null(table: str, column: str, *, schema: str | None = None) -> None:
    """Set NOT NULL without reading the table under its lock.

    Raises ViolatedError where the column is null somewhere.
    """
    op.invoke(NotNullOp(table, column, schema))


def drop_not_null(table: str, column: str, *, schema: str | None = None) -> None:
    """Undo `add_not_null`."""
    op.invoke(NotNullOp(table, column, schema, drop=True))


def add_check(name: str, table: str, condition: str, *, schema: str | None = None) -> None:
    """Add a check, and validate it in a transaction of its own.

    Raises ViolatedError where rows violate it.
    """
    op.invoke(CheckOp(name, table, condition, schema))


def drop_check(name: str, table: str, condition: str = "", *, schema: str | None = None) -> None:
    """Undo `add_check`."""
    op.invoke(CheckOp(name, table, condition, schema, drop=True))


def add_foreign_key(  # noqa: PLR0913 - a foreign key has as many properties
    name: str,
    table: str,
    columns: Sequence[str],
    refers: str,
    to: Sequence[str] = ("id",),
    *,
    index: str | None,
    actions: str = "",
    schema: str | None = None,
    refers_schema: str | None = None,
) -> None:
    """Add a foreign key, and validate it in a transaction of its own.

    `index` names the index on its columns that is built first (None: there is one); without one
    each DELETE in the other table reads all of this one. `actions` is SQL: "ON DELETE CASCADE".
    Raises ViolatedError where rows refer to none.
    """
    op.invoke(
        ForeignKeyOp(
            ForeignKey(
                *(name, table, tuple(columns), refers, tuple(to), actions, index),
                *(schema, refers_schema),
            )
        )
    )


def drop_foreign_key(
    name: str,
    table: str,
    *,
    index: str | None,
    schema: str | None = None,
) -> None:
    """Undo `add_foreign_key`; `index` is the one that was built with it."""
    op.invoke(ForeignKeyOp(ForeignKey(name, table, (), "", (), "", index, schema), drop=True))


def add_unique(
    name: str,
    table: str,
    columns: Sequence[str],
    *,
    include: Sequence[str] = (),
    nulls_not_distinct: bool = False,
    deferrable: str = "",
    schema: str | None = None,
) -> None:
    """Build a unique index concurrently, and make the constraint of it.

    `deferrable` is SQL: "DEFERRABLE INITIALLY DEFERRED".
    Raises ViolatedError where rows are not unique.
    """
    index = Index(
        *(name, table, indexes.written(columns)),
        unique=True,
        include=tuple(include),
        nulls_not_distinct=nulls_not_distinct,
        schema=schema,
    )
    op.invoke(UniqueOp(index, deferrable))


def drop_unique(name: str, table: str, *, schema: str | None = None) -> None:
    """Undo `add_unique`."""
    op.invoke(UniqueOp(Index(name, table, (), unique=True, schema=schema), drop=True))


@Operations.implementation_for(NotNullOp)
def _not_null(operations: Operations, operation: NotNullOp) -> None:
    stages = Stages(operations)
    if operation.drop:
        set_nullable(stages, operation.table, operation.column, operation.schema)
    else:
        set_not_null(stages, operation.table, operation.column, operation.schema)


def set_nullable(stages: Stages, table: str, column: str, schema: str | None) -> None:
    """Drop NOT NULL of a column, in a transaction of its own."""
    stages.commit()
    stages.execute(
        f"ALTER TABLE {quoted(table, schema)} ALTER COLUMN {quoted(column)} DROP NOT NULL"
    )
    stages.commit()


def set_not_null(stages: Stages, table: str, column: str, schema: str | None) -> None:
    """Set NOT NULL of a column, in stages.

    A validated CHECK proves it, so SET NOT NULL reads no row; that works on 15 to 18, and in the
    end nothing tells how the column came to it.
    """

    def look() -> None:
        found = table_of(stages, table, schema)
        found.needs(column)
        violations.nulls(stages, found, column)

    name = name_of(table, column, "not_null_staged")
    alter = f"ALTER TABLE {quoted(table, schema)}"
    stages.commit(look)
    _add_validated(stages, table, schema, name, f"CHECK ({quoted(column)} IS NOT NULL)")
    # one by one: in one ALTER TABLE the check is dropped first, and proves nothing any more
    stages.execute(f"{alter} ALTER COLUMN {quoted(column)} SET NOT NULL")
    stages.execute(f"{alter} DROP CONSTRAINT {quoted(name)}")
    stages.commit()


def _add_validated(
    stages: Stages, table: str, schema: str | None, name: str, definition: str
) -> None:
    alter = f"ALTER TABLE {quoted(table, schema)}"
    stages.execute(f"{alter} ADD CONSTRAINT {quoted(name)} {definition} NOT VALID")
    stages.commit()
    try:
        stages.execute(f"{alter} VALIDATE CONSTRAINT {quoted(name)}")
    except IntegrityError as error:
        raise ViolatedError(
            f"rows of {table} violate {name} ({definition})",
            hint="it is there, NOT VALID, and refuses new ones: mend the old, then run it again",
        ) from error
    stages.commit()


@Operations.implementation_for(CheckOp)
def _check(operations: Operations, operation: CheckOp) -> None:
    stages = Stages(operations)
    if operation.drop:
        _drop(stages, operation.name, operation.table, operation.schema)
        return

    def look() -> None:
        found = table_of(stages, operation.table, operation.schema)
        violations.unfulfilled(stages, found, operation.name, operation.condition)

    stages.commit(look)
    definition = f"CHECK ({operation.condition})"
    _add_validated(stages, operation.table, operation.schema, operation.name, definition)


@Operations.implementation_for(ForeignKeyOp)
def _foreign_key(operations: Operations, operation: ForeignKeyOp) -> None:
    stages, key = Stages(operations), operation.key
    if operation.drop:
        _drop(stages, key.name, key.table, key.schema)
    else:
        stages.commit(lambda: _look_at_key(stages, key))
    if key.index is not None:
        columns = indexes.written(key.columns)
        index = Index(key.index, key.table, columns, schema=key.schema)
        (indexes.drop if operation.drop else indexes.build)(stages, index)
    if not operation.drop:
        definition = (
            f"FOREIGN KEY ({listed(key.columns)}) REFERENCES"
            f" {quoted(key.refers, key.refers_schema)} ({listed(key.to)}) {key.actions}"
        )
        _add_validated(stages, key.table, key.schema, key.name, definition.rstrip())


def _look_at_key(stages: Stages, key: ForeignKey) -> None:
    table = table_of(stages, key.table, key.schema)
    other = table_of(stages, key.refers, key.refers_schema)
    table.needs(*key.columns)
    other.needs(*key.to)
    if len(key.columns) != len(key.to):
        raise StagedError(
            f"the foreign key {key.name} leads from {len(key.columns)} column(s) to {len(key.to)}",
            hint="name as many columns of the other table, in the same order",
        )
    if table.kind == "p" and table.major < _NOT_VALID_BEFORE:
        raise StagedError(
            f"{key.table} is partitioned: before PostgreSQL {_NOT_VALID_BEFORE} its foreign keys"
            " cannot be NOT VALID",
            hint="add it to each partition with this helper, then to the parent: that reads no"
            " row, because each partition has a valid one that is equal",
        )
    # the server itself takes rows that it hides from the owner for valid
    for each in (table, other):
        each.needs_every_row(f"the check of {key.name}")
    violations.orphans(stages, table, key.name, key.columns, other.sql, key.to)


@Operations.implementation_for(UniqueOp)
def _unique(operations: Operations, operation: UniqueOp) -> None:
    stages, index = Stages(operations), operation.index
    if operation.drop:
        _drop(stages, index.name, index.table, index.schema)
        return
    stages.commit(lambda: _refuse_partitioned(table_of(stages, index.table, index.schema), index))
    indexes.build(stages, index)
    # ACCESS EXCLUSIVE for a moment: the index is there
    stages.execute(
        f"ALTER TABLE {quoted(index.table, index.schema)} ADD CONSTRAINT {quoted(index.name)}"
        f" UNIQUE USING INDEX {quoted(index.name)} {operation.deferrable}".rstrip()
    )
    stages.commit()


def _refuse_partitioned(table: Table, index: Index) -> None:
    if table.kind == "p":
        raise StagedError(
            f"{table.name} is partitioned: no constraint can be made of an index there",
            hint=f"create_index({index.name!r}, {table.name!r}, ..., unique=True) refuses the same"
            " rows",
        )


def _drop(stages: Stages, name: str, table: str, schema: str | None) -> None:
    """Drop a constraint, in a transaction of its own."""
    stages.commit()
    stages.execute(f"ALTER TABLE {quoted(table, schema)} DROP CONSTRAINT {quoted(name)}")
    stages.commit()
