"""Expand and contract: a column changes its type or name while both releases of an application run.

Expand makes the new column, a trigger that keeps both equal, and fills it. The release that knows
the new column takes over while the old one still writes. Contract, a later revision, drops trigger
and old column. What hangs on the old column is named, and has to be made for the new one before.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from alembic import op
from alembic.operations import MigrateOperation, Operations

from pgstead.app.staged.backfilling import BackfillOp, fill, refuse_keyless
from pgstead.app.staged.catalog import Table, table_of
from pgstead.app.staged.constraints import set_not_null
from pgstead.app.staged.replacement import Replacement
from pgstead.app.staged.stages import Row, StagedError, Stages, quoted

_log = logging.getLogger("alembic.pgstead")

_COLUMN = """
    SELECT a.attnotnull AS required, a.attgenerated <> '' AS generated,
           a.attidentity <> '' AS identity, pg_get_expr(d.adbin, d.adrelid) AS default,
           a.attacl IS NOT NULL AS granted,
           EXISTS (SELECT FROM pg_index AS i WHERE i.indrelid = a.attrelid AND i.indisprimary
                   AND a.attnum = ANY (i.indkey::int2[])) AS key,
           EXISTS (SELECT FROM pg_partitioned_table AS p WHERE p.partrelid = a.attrelid
                   AND a.attnum = ANY (p.partattrs::int2[])) AS partitions
    FROM pg_attribute AS a
    LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attrelid = %(oid)s::bigint::oid AND a.attname = %(column)s
"""
# its own default and NOT NULL are carried over; everything else is named
_DEPENDENTS = """
    SELECT DISTINCT pg_describe_object(d.classid, d.objid, d.objsubid) AS what
    FROM pg_depend AS d
    JOIN pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
    LEFT JOIN pg_attrdef AS f ON d.classid = 'pg_attrdef'::regclass AND f.oid = d.objid
    LEFT JOIN pg_constraint AS c ON d.classid = 'pg_constraint'::regclass AND c.oid = d.objid
    WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = %(oid)s::bigint::oid
      AND a.attname = %(column)s AND f.adnum IS DISTINCT FROM a.attnum
      AND c.contype IS DISTINCT FROM 'n'
    ORDER BY 1
"""


@dataclass(frozen=True)
class ExpandOp(MigrateOperation):
    """Make the new column beside the old one, or drop it again."""

    change: Replacement
    undo: bool = False

    def reverse(self) -> ExpandOp:
        """Return what leads back."""
        return ExpandOp(self.change, not self.undo)


@dataclass(frozen=True)
class ContractOp(MigrateOperation):
    """Drop the old column, or make it again beside the new one."""

    change: Replacement
    undo: bool = False

    def reverse(self) -> ContractOp:
        """Return what leads back."""
        return ContractOp(self.change, not self.undo)


def expand(change: Replacement) -> None:
    """Add the new column and the trigger, fill it, and set NOT NULL where that is wanted.

    Raises StagedError for a column that cannot be replaced so, and for one with a default or NOT
    NULL that the replacement does not tell.
    """
    op.invoke(ExpandOp(change))


def undo_expand(change: Replacement) -> None:
    """Undo `expand`: drop the trigger and the new column. The old one has every value."""
    op.invoke(ExpandOp(change, undo=True))


def contract(change: Replacement) -> None:
    """Drop the trigger and the old column, which no release that still runs may know.

    Raises StagedError where something hangs on the old column, all of it named, and where rows
    have no new value.
    """
    op.invoke(ContractOp(change))


def undo_contract(change: Replacement) -> None:
    """Undo `contract`: make the old column and the trigger again, and fill it."""
    op.invoke(ContractOp(change, undo=True))


@Operations.implementation_for(ExpandOp)
def _expand(operations: Operations, operation: ExpandOp) -> None:
    stages, change = Stages(operations), operation.change
    alter = f"ALTER TABLE {change.sql}"
    if operation.undo:
        _together(stages, *change.unmirror(), f"{alter} DROP COLUMN {quoted(change.new)}")
        return
    add = f"{alter} ADD COLUMN {quoted(change.new)} {change.new_type}"
    stages.commit(lambda: _look_before(stages, change, add))
    _together(stages, add, *change.mirror())
    stages.commit(lambda: _try(stages, change))
    _fill(stages, change, change.new, change.to_new, change.unfilled)


@Operations.implementation_for(ContractOp)
def _contract(operations: Operations, operation: ContractOp) -> None:
    stages, change = Stages(operations), operation.change
    alter = f"ALTER TABLE {change.sql}"
    if operation.undo:
        old = quoted(change.old)
        _together(
            stages,
            f"{alter} ADD COLUMN {old} {change.old_type}",
            *_defaults(change.sql, change.old, change.old_default, change.new, change.new_default),
            *change.mirror(),
        )
        _fill(stages, change, change.old, change.to_old, change.unfilled_back)
        return
    drop = f"{alter} DROP COLUMN {quoted(change.old)}"
    stages.commit(lambda: _look_after(stages, change, drop))
    _together(
        stages,
        *change.unmirror(),
        *_defaults(change.sql, change.new, change.new_default, "", None),
        drop,
    )


def _together(stages: Stages, *statements: str) -> None:
    """Execute statements in one transaction of their own."""
    stages.commit()
    for statement in statements:
        stages.execute(statement)
    stages.commit()


def _defaults(
    table: str, column: str, default: str | None, other: str, others: str | None
) -> Sequence[str]:
    """Return the statements that give one column its default, and take the other's."""
    given = f"ALTER TABLE {table} ALTER COLUMN {quoted(column)} SET DEFAULT {default}"
    taken = f"ALTER TABLE {table} ALTER COLUMN {quoted(other)} DROP DEFAULT" if other else ""
    return [*([given] if default else []), *([taken] if other and others else [])]


def _fill(stages: Stages, change: Replacement, column: str, value: str, where: str) -> None:
    work = BackfillOp(change.table, ((column, value),), where, change.schema, change.pace)
    fill(stages, work)
    if not change.nullable:
        set_not_null(stages, change.table, column, change.schema)


def _look_before(stages: Stages, change: Replacement, add: str) -> None:
    table = table_of(stages, change.table, change.schema)
    table.needs(change.old)
    table.needs_every_row("filling the new column")
    if change.new in table.columns and not stages.running.knows(add):
        raise StagedError(
            f"{change.table} has a column {change.new!r} already", hint="choose another name"
        )
    refuse_keyless(table)
    (column,) = stages.rows(_COLUMN, oid=table.oid, column=change.old)
    _refuse_special(change, column)
    _refuse_untold(change, column)
    if hanging := _dependents(stages, table, change.old, column):
        _log.warning(
            "before %s.%s can be dropped, these have to be made for %s and dropped: %s",
            *(change.table, change.old, change.new, "; ".join(hanging)),
        )


def _refuse_special(change: Replacement, column: Row) -> None:
    kinds = {
        "generated": "it is generated",
        "identity": "it is an identity column",
        "key": "it belongs to the primary key",
        "partitions": "the table is partitioned by it",
    }
    for kind, words in kinds.items():
        if column[kind]:
            raise StagedError(
                f"{change.table}.{change.old} cannot be replaced by a column beside it: {words}",
                hint="make a new table as it shall be, and move the rows",
            )


def _refuse_untold(change: Replacement, column: Row) -> None:
    """Raise StagedError where the new column would lack what the old one has."""
    default = column["default"]
    if default is not None and None in (change.old_default, change.new_default):
        raise StagedError(
            f"{change.table}.{change.old} has the default {default}",
            hint="tell what it is for both: Replacement(..., old_default=..., new_default=...)",
        )
    if column["required"] and change.nullable:
        raise StagedError(
            f"{change.table}.{change.old} is NOT NULL", hint="Replacement(..., nullable=False)"
        )


def _dependents(stages: Stages, table: Table, name: str, column: Row) -> list[str]:
    found = [str(r["what"]) for r in stages.rows(_DEPENDENTS, oid=table.oid, column=name)]
    return [*found, *(["privileges on the column"] if column["granted"] else [])]


def _try(stages: Stages, change: Replacement) -> None:
    """Plan both directions, and compare: a type that does not fit shows before rows are touched."""
    statement = (
        f"EXPLAIN UPDATE {change.sql} SET {quoted(change.new)} = {change.to_new},"  # noqa: S608
        f" {quoted(change.old)} = {change.to_old}"
        f" WHERE {quoted(change.new)} IS DISTINCT FROM {quoted(change.new)}"
        f" OR {quoted(change.old)} IS DISTINCT FROM {quoted(change.old)}"
    )
    stages.driver.execute(statement.encode())


def _look_after(stages: Stages, change: Replacement, drop: str) -> None:
    if stages.running.knows(drop):
        return
    table = table_of(stages, change.table, change.schema)
    table.needs(change.old, change.new)
    (column,) = stages.rows(_COLUMN, oid=table.oid, column=change.old)
    (successor,) = stages.rows(_COLUMN, oid=table.oid, column=change.new)
    hanging = _dependents(stages, table, change.old, column)
    if column["required"] and not successor["required"]:
        hanging.append("NOT NULL")
    if hanging:
        raise StagedError(
            f"{change.table}.{change.old} cannot be dropped yet; on it hang: {'; '.join(hanging)}",
            hint=f"make each for {change.new} and drop it, in revisions before this one"
            " (staged.create_index, add_unique, add_check, ...)",
        )
    if table.filtered:
        return
    query = f"SELECT count(*) AS n FROM {table.sql} WHERE {change.unfilled}"  # noqa: S608
    (row,) = stages.rows(query.replace("%", "%%"))
    if row["n"]:
        raise StagedError(
            f"{row['n']} row(s) of {change.table} have {change.old} and no {change.new}",
            hint="somebody wrote past the trigger; fill them (staged.backfill), then contract",
        )
