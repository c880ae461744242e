"""Indexes built and dropped while their table is written to, of partitioned tables too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from alembic import op
from alembic.operations import MigrateOperation, Operations
from sqlalchemy import TextClause
from sqlalchemy.exc import IntegrityError

from pgstead.app.staged import violations
from pgstead.app.staged.catalog import Table, table_of
from pgstead.app.staged.stages import StagedError, Stages, name_of, quoted

_CHILDREN = """
    SELECT c.relname::text AS name, n.nspname::text AS schema, c.relkind::text AS kind
    FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE i.inhparent = %(oid)s::bigint::oid ORDER BY 1
"""
_THERE = """
    SELECT c.relkind::text AS kind, i.indrelid = %(oid)s::bigint::oid AS ours,
           coalesce(i.indisvalid, false) AS valid
    FROM pg_class AS c LEFT JOIN pg_index AS i ON i.indexrelid = c.oid
    WHERE c.relname = %(name)s
      AND c.relnamespace = (SELECT t.relnamespace FROM pg_class AS t
                            WHERE t.oid = %(oid)s::bigint::oid)
"""


@dataclass(frozen=True)
class Index:
    """An index as a revision tells it."""

    name: str
    table: str
    columns: tuple[str, ...]  # SQL, ready for a statement
    unique: bool = False
    where: str | None = None
    method: str | None = None
    include: tuple[str, ...] = ()
    nulls_not_distinct: bool = False
    schema: str | None = None

    def create(self, word: str) -> str:
        """Return the statement that makes it; `word` is CONCURRENTLY, or ONLY the parent."""
        unique = "UNIQUE " if self.unique else ""
        concurrently, only = ("CONCURRENTLY ", "") if word == "CONCURRENTLY" else ("", "ONLY ")
        parts = [
            f"CREATE {unique}INDEX {concurrently}{quoted(self.name)}",
            f"ON {only}{quoted(self.table, self.schema)}",
            f"USING {self.method}" if self.method else "",
            f"({', '.join(self.columns)})",
            f"INCLUDE ({', '.join(map(quoted, self.include))})" if self.include else "",
            "NULLS NOT DISTINCT" if self.nulls_not_distinct else "",
            f"WHERE {self.where}" if self.where else "",
        ]
        return " ".join(part for part in parts if part)

    @property
    def sql(self) -> str:
        """Its name as a statement may hold it: an index lies in the schema of its table."""
        return quoted(self.name, self.schema)


@dataclass(frozen=True)
class CreateIndexOp(MigrateOperation):
    """Build an index concurrently."""

    index: Index

    def reverse(self) -> DropIndexOp:
        """Return what leads back."""
        return DropIndexOp(self.index)


@dataclass(frozen=True)
class DropIndexOp(MigrateOperation):
    """Drop an index concurrently; what it was is told, so that the way back is known."""

    index: Index

    def reverse(self) -> CreateIndexOp:
        """Return what leads back. Raises StagedError where the columns were not told."""
        if not self.index.columns:
            raise StagedError(
                f"it is not told of which columns {self.index.name} was",
                hint="drop_index(name, table, columns) can be reversed",
            )
        return CreateIndexOp(self.index)


def create_index(  # noqa: PLR0913 - an index has as many properties
    name: str,
    table: str,
    columns: Sequence[str | TextClause],
    *,
    unique: bool = False,
    where: str | None = None,
    method: str | None = None,
    include: Sequence[str] = (),
    nulls_not_distinct: bool = False,
    schema: str | None = None,
) -> None:
    """Build an index while its table is written to; of a partitioned table one by one.

    A `sa.text("lower(email)")` among the columns is an expression, and may hold an order.
    Raises StagedError where the name is taken, ViolatedError where rows are not unique.
    """
    index = Index(
        *(name, table, written(columns), unique, where, method, tuple(include)),
        nulls_not_distinct,
        schema,
    )
    op.invoke(CreateIndexOp(index))


def drop_index(  # noqa: PLR0913 - as above
    name: str,
    table: str,
    columns: Sequence[str | TextClause] = (),
    *,
    unique: bool = False,
    where: str | None = None,
    method: str | None = None,
    include: Sequence[str] = (),
    nulls_not_distinct: bool = False,
    schema: str | None = None,
) -> None:
    """Drop an index while its table is used. What it was is told for the way back only."""
    index = Index(
        *(name, table, written(columns), unique, where, method, tuple(include)),
        nulls_not_distinct,
        schema,
    )
    op.invoke(DropIndexOp(index))


def written(columns: Sequence[str | TextClause]) -> tuple[str, ...]:
    """Return columns and expressions as a statement may hold them."""
    return tuple(c.text if isinstance(c, TextClause) else quoted(c) for c in columns)


@Operations.implementation_for(CreateIndexOp)
def _create(operations: Operations, operation: CreateIndexOp) -> None:
    build(Stages(operations), operation.index)


@Operations.implementation_for(DropIndexOp)
def _drop(operations: Operations, operation: DropIndexOp) -> None:
    drop(Stages(operations), operation.index)


def build(stages: Stages, index: Index) -> None:
    """Build an index, in transactions of its own."""
    if stages.online:
        with stages.apart():
            table = table_of(stages, index.table, index.schema)
        if table.kind == "p":
            _build_parts(stages, index, table)
            return
    _build_one(stages, index)


def drop(stages: Stages, index: Index) -> None:
    """Drop an index, in a transaction of its own."""
    partitioned = False
    if stages.online:
        with stages.apart():
            partitioned = table_of(stages, index.table, index.schema).kind == "p"
    if partitioned:  # the server cannot do that concurrently; it takes a moment
        stages.execute(f"DROP INDEX IF EXISTS {index.sql}")
        stages.commit()
        return
    with stages.apart():
        stages.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {index.sql}")


def _build_one(stages: Stages, index: Index) -> None:
    statement = index.create("CONCURRENTLY")
    with stages.apart():
        if not stages.online:
            # a script has nobody who drops what a killed build left
            stages.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {index.sql}")
            stages.execute(statement)
            return
        table = table_of(stages, index.table, index.schema)
        _refuse_taken(stages, index, table, statement)
        try:
            stages.execute(statement)
        except IntegrityError as error:
            raise violations.duplicates(
                *(stages, table, index.name, index.columns, index.where),
                nulls=index.nulls_not_distinct,
            ) from error


def _refuse_taken(stages: Stages, index: Index, table: Table, statement: str) -> None:
    """Raise StagedError where the name belongs to something that this revision did not make."""
    found = stages.rows(_THERE, oid=table.oid, name=index.name)
    if not found or stages.running.knows(statement):
        return
    (row,) = found
    if row["ours"] and not row["valid"]:  # left by a build that failed: the runner drops it
        return
    raise StagedError(
        f"the name {index.name} is taken in the schema of {index.table}",
        hint=f"if it is this index already: DROP INDEX CONCURRENTLY {index.sql}, or leave it out"
        " of the revision; else choose another name",
    )


def _build_parts(stages: Stages, index: Index, table: Table) -> None:
    """Build the index of a partitioned table: the parent's is valid when all parts have theirs.

    https://www.postgresql.org/docs/current/ddl-partitioning.html#DDL-PARTITIONING-DECLARATIVE-MAINTENANCE
    """
    with stages.apart():
        _refuse_taken(stages, index, table, index.create("ONLY"))
        children = stages.rows(_CHILDREN, oid=table.oid)
    # takes a moment: nothing is built for a parent alone
    stages.execute(index.create("ONLY"))
    stages.commit()
    for child in children:
        part = replace(
            *(index,),
            name=name_of(index.name, str(child["name"])),
            table=str(child["name"]),
            schema=str(child["schema"]),
        )
        if child["kind"] not in {"r", "p"}:
            raise StagedError(
                f"the partition {part.table} of {index.table} is a foreign table",
                hint="it can have no index here, and so its parent has none that is valid",
            )
        build(stages, part)
        stages.execute(f"ALTER INDEX {index.sql} ATTACH PARTITION {part.sql}")
        stages.commit()
