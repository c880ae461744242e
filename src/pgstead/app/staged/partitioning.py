"""A table that is used becomes one in parts by time, without its rows being written anew.

All rows there are become the first partition, whose time ends at a moment yet to come. A check says
so (validated while the table is used), a unique index of key and moment is built concurrently, and
one short transaction puts a table in parts in its place: what it takes is a lock on the catalog's
side, no look at a row.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from importlib import resources as packaged

from alembic import op
from alembic.operations import MigrateOperation, Operations

from pgstead.app.policies import literal
from pgstead.app.staged.constraints import add_check
from pgstead.app.staged.indexes import create_index
from pgstead.app.staged.stages import StagedError, Stages, listed, name_of, quoted
from pgstead.model.partitions import Every, first_parts

# What would point at the old partition afterwards, or cannot be in a table in parts.
_HINDRANCES = """
    SELECT 'it is in parts already' AS what FROM pg_class AS c
    WHERE c.oid = %(oid)s::regclass AND c.relkind <> 'r'
    UNION ALL
    SELECT format('%%s refers to it: a key unique within a partition alone cannot be referred to',
                  k.conrelid::regclass) FROM pg_constraint AS k
    WHERE k.confrelid = %(oid)s::regclass AND k.contype = 'f'
    UNION ALL
    SELECT format('the view %%s reads it, and would read the old partition', r.ev_class::regclass)
    FROM pg_depend AS d JOIN pg_rewrite AS r ON r.oid = d.objid
    WHERE d.classid = 'pg_rewrite'::regclass AND d.refobjid = %(oid)s::regclass
      AND r.ev_class <> d.refobjid
    UNION ALL
    SELECT format('the column %%s is an identity, whose numbers would begin anew', a.attname)
    FROM pg_attribute AS a WHERE a.attrelid = %(oid)s::regclass AND a.attidentity <> ''
    UNION ALL
    SELECT format('%%s may be null', a.attname) FROM pg_attribute AS a
    WHERE a.attrelid = %(oid)s::regclass AND a.attname = %(column)s AND NOT a.attnotnull
    UNION ALL
    SELECT format('%%s is unique without %%s', c.relname, %(column)s)
    FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
    WHERE i.indrelid = %(oid)s::regclass AND i.indisunique AND NOT i.indisprimary
      AND NOT EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = i.indrelid
                      AND a.attnum = ANY (i.indkey::int2[]) AND a.attname = %(column)s)
    UNION ALL
    SELECT format('a privilege on its column %%s', a.attname) FROM pg_attribute AS a
    WHERE a.attrelid = %(oid)s::regclass AND a.attacl IS NOT NULL
    UNION ALL
    SELECT format('it is published by %%s', p.pubname) FROM pg_publication_rel AS r
    JOIN pg_publication AS p ON p.oid = r.prpubid WHERE r.prrelid = %(oid)s::regclass
"""


@dataclass(frozen=True)
class PartitionOp(MigrateOperation):
    """Put a table in parts in the place of one that is ready for it."""

    table: str
    column: str
    before: str  # ISO 8601
    key: tuple[str, ...]
    parts: tuple[tuple[str, str, str], ...]
    schema: str = "public"
    stage: str = "swap"  # look, swap, back


def partition(
    table: str, column: str, before: datetime, *, key: Sequence[str] = ("id",),
    every: str = "month", ahead: int = 3, schema: str = "public",
) -> None:  # fmt: skip
    """Make a table that is used one in parts by time; rows from before a moment are the first.

    `before` is yet to come, with its zone: until the last stage no later row is taken. `key` is
    the primary key; `column` becomes a part of it. The partitions behind `before` are made too;
    the agent goes on with what the models declare (`Partitioned.by_time`). Rehearse it (`pgstead
    migrate rehearse`). Raises StagedError with all that hinders it: keys that refer to it, views,
    identity columns, unique keys without the column.
    """
    if before.tzinfo is None:
        raise StagedError(f"{before} does not say in which zone", hint="datetime(..., tzinfo=UTC)")
    made = tuple(
        (part.name, str(part.lower), str(part.upper))
        for part in first_parts(table, before, Every(every), ahead)
    )
    said = before.isoformat()
    what = PartitionOp(table, column, said, tuple(key), made, schema)
    op.invoke(replace(what, stage="look"))
    add_check(_bound(table), table, f"{quoted(column)} < {literal(said)}", schema=schema)
    create_index(_built(table), table, [*key, column], unique=True, schema=schema)
    op.invoke(what)


def undo_partition(
    table: str, column: str, *, key: Sequence[str] = ("id",), schema: str = "public"
) -> None:
    """Undo `partition`: the rows of later partitions go over to the first, which is the table.

    They are copied under a lock of the whole table: soon after, there are few.
    """
    aside = name_of(table, "before")
    create_index(_whole(table), aside, list(key), unique=True, schema=schema)
    op.invoke(PartitionOp(table, column, "", tuple(key), (), schema, stage="back"))


def _bound(table: str) -> str:
    return name_of(table, "before_check")


def _built(table: str) -> str:
    return name_of(table, "parts_key")


def _whole(table: str) -> str:
    return name_of(table, "whole_key")


@Operations.implementation_for(PartitionOp)
def _partition(operations: Operations, operation: PartitionOp) -> None:
    stages = Stages(operations)
    if operation.stage != "back":
        stages.commit(lambda: _look(stages, operation))
    if operation.stage != "look":
        stages.execute(_statement(operation))
        if operation.stage == "back":
            # gone with it already; whoever reads the revision and runs nothing sees it by these
            table, name = quoted(operation.table, operation.schema), _bound(operation.table)
            stages.execute(f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {quoted(name)}")
            built = quoted(_built(operation.table), operation.schema)
            stages.execute(f"DROP INDEX IF EXISTS {built}")
        stages.commit()


def _look(stages: Stages, operation: PartitionOp) -> None:
    name = quoted(operation.table, operation.schema)
    if not stages.rows("SELECT to_regclass(%(name)s) IS NOT NULL AS it", name=name)[0]["it"]:
        raise StagedError(f"there is no table {operation.table!r}")
    found = stages.rows(_HINDRANCES, oid=name, column=operation.column)
    if found:
        raise StagedError(
            f"{operation.table} cannot be in parts: {'; '.join(str(r['what']) for r in found)}",
            hint="change that in a revision before",
        )


def _statement(operation: PartitionOp) -> str:
    back, table = operation.stage == "back", operation.table
    file = packaged.files("pgstead.app.staged") / ("swap_back.sql" if back else "swap.sql")
    text = file.read_text("utf-8")
    values = {
        "schema": operation.schema,
        "table": table,
        "aside": name_of(table, "before"),
        "bound": _bound(table),
        "built": _whole(table) if back else _built(table),
        "before": operation.before,
        "keys": listed((*operation.key, operation.column)),
        "column": operation.column,
        "parts": json.dumps(operation.parts),
    }
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", literal(value))
    return text.strip()
