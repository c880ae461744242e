"""Rows in the way of a constraint: counted before it is added, so that nothing is half-done.

Values are never told: only how many rows, and the keys of a few.
"""

from __future__ import annotations

from collections.abc import Sequence

import psycopg

from pgstead.app.staged.catalog import Table
from pgstead.app.staged.stages import Stages, ViolatedError, quoted

_SHOWN = 3  # keys


def nulls(stages: Stages, table: Table, column: str) -> None:
    """Raise ViolatedError where a column is null somewhere."""
    what = f"NOT NULL cannot be set: {table.name}.{column} is null"
    _refuse(stages, table, f"{quoted(column)} IS NULL", what)


def unfulfilled(stages: Stages, table: Table, name: str, condition: str) -> None:
    """Raise ViolatedError where a condition is false; unknown fulfils a CHECK."""
    what = f"the check {name} of {table.name} is violated"
    _refuse(stages, table, f"({condition}) IS FALSE", what)


def orphans(
    stages: Stages, table: Table, name: str, columns: Sequence[str], refers: str, to: Sequence[str]
) -> None:
    """Raise ViolatedError where a row refers to one that there is not (MATCH SIMPLE)."""
    pairs = zip(columns, to, strict=True)
    same = " AND ".join(f"pgstead_r.{quoted(t)} = pgstead_t.{quoted(c)}" for c, t in pairs)
    given = " AND ".join(f"{quoted(c)} IS NOT NULL" for c in columns)
    missing = f"{given} AND NOT EXISTS (SELECT FROM {refers} AS pgstead_r WHERE {same})"
    what = (
        f"the foreign key {name} of {table.name} ({', '.join(columns)}) is violated: {refers} has"
        " no such row"
    )
    _refuse(stages, table, missing, what)


def duplicates(
    stages: Stages,
    table: Table,
    name: str,
    columns: Sequence[str],
    where: str | None,
    *,
    nulls: bool,
) -> ViolatedError:
    """Return the error for a unique index that could not be built; `columns` are SQL."""
    told = f"{', '.join(columns)}{f' where {where}' if where else ''}"
    conditions = [f"({where})"] if where else []
    conditions += [] if nulls else [f"({column}) IS NOT NULL" for column in columns]
    only = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    query = (
        "SELECT count(*) AS groups, coalesce(sum(n), 0)::bigint AS rows"  # noqa: S608 - the revision's own SQL
        f" FROM (SELECT count(*) AS n FROM {table.sql}{only}"
        f" GROUP BY {', '.join(columns)} HAVING count(*) > 1) AS s"
    )
    many = "some"
    try:
        if not table.filtered:
            (row,) = stages.rows(query.replace("%", "%%"))
            many = f"{row['groups']} value(s), in {row['rows']} rows,"
    except psycopg.Error:  # an ordering in an expression: `lower(x) DESC` cannot be grouped by
        pass
    return ViolatedError(
        f"{name} cannot be unique over {table.name} ({told}): {many} occur more than once",
        hint="mend the rows, then run it again: what was built of the index is dropped",
    )


def _refuse(stages: Stages, table: Table, condition: str, what: str) -> None:
    if table.filtered:  # whoever is bound by policies counts nothing; VALIDATE sees all rows
        return
    keys = ", ".join(f"{quoted(k.name)}::text" for k in table.key)
    shown = f"array_to_string(ARRAY[{keys}], ', ')" if keys else "NULL"
    query = (
        f"SELECT count(*) OVER () AS count, {shown} AS key"  # noqa: S608 - as above
        f" FROM {table.sql} AS pgstead_t WHERE {condition} LIMIT {_SHOWN}"
    )
    found = stages.rows(query.replace("%", "%%"))
    if not found:
        return
    told = f", keys {'; '.join(str(row['key']) for row in found)}" if keys else ""
    raise ViolatedError(
        f"{what} ({found[0]['count']} row(s){told})",
        hint="mend these rows, then run it again: nothing of this change is in",
    )
