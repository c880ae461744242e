"""What a constraint or a type demands of rows, as a query for those that do not meet it.

Expressions are the revision's own, and are run as it was: by the migrator, in the path of his
session.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from pgstead.app.migration_clauses import (
    Check,
    Clause,
    Exclusion,
    Reference,
    Retyped,
    Unique,
    plain,
    words,
)

# Keys that tell nothing about a person; else the row's place (ctid) is shown.
_TABLE = """
    SELECT c.oid::bigint, n.nspname, c.relname, c.relrowsecurity AND c.relforcerowsecurity,
           ARRAY(SELECT a.attname FROM pg_attribute AS a
                 WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                 ORDER BY a.attnum)::text[],
           ARRAY(SELECT a.attname
                 FROM pg_index AS i
                 CROSS JOIN LATERAL unnest(i.indkey[:i.indnkeyatts - 1])
                   WITH ORDINALITY AS k (attnum, n)
                 JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = k.attnum
                 WHERE i.indrelid = c.oid AND i.indisprimary
                 ORDER BY k.n)::text[],
           (SELECT bool_and(a.atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype,
                                           'uuid'::regtype))
            FROM pg_index AS i JOIN pg_attribute AS a
              ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey)
            WHERE i.indrelid = c.oid AND i.indisprimary)
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.oid = to_regclass(%(name)s)
"""
_NAMES = """ARRAY(SELECT a.attname FROM unnest({keys}) WITH ORDINALITY AS k (attnum, n)
                 JOIN pg_attribute AS a ON a.attrelid = {table} AND a.attnum = k.attnum
                 ORDER BY k.n)::text[]"""
_CONSTRAINT = f"""
    SELECT c.contype::text, pg_get_expr(c.conbin, c.conrelid),
           {_NAMES.format(keys="c.conkey", table="c.conrelid")},
           c.confrelid::regclass::text,
           {_NAMES.format(keys="c.confkey", table="c.confrelid")}
    FROM pg_constraint AS c
    WHERE c.conrelid = %(oid)s::bigint::oid AND c.conname = %(name)s AND NOT c.convalidated
"""  # noqa: S608 - made of constants
_COLUMNS = f"""
    SELECT {_NAMES.format(keys="c.conkey", table="c.conrelid")}
    FROM pg_constraint AS c
    WHERE c.conrelid = to_regclass(%(table)s) AND c.conname = %(name)s
    UNION ALL
    SELECT ARRAY(SELECT pg_get_indexdef(i.indexrelid, n, true)
                 FROM generate_series(1, i.indnkeyatts) AS n)
    FROM pg_index AS i JOIN pg_class AS x ON x.oid = i.indexrelid
    WHERE i.indrelid = to_regclass(%(table)s) AND x.relname = %(name)s
"""  # noqa: S608 - made of constants
_MAKE_FAILS = """
    CREATE FUNCTION pg_temp.pgstead_fails(rows {table}) RETURNS boolean LANGUAGE plpgsql AS {body}
"""
# What an assignment refuses, an explicit cast may do: '12'::varchar(1) is cut off.
_FAILS = """
#variable_conflict use_column
DECLARE pgstead_made {type};
BEGIN
  SELECT {using} INTO pgstead_made FROM (SELECT (pgstead_fails.rows).*) AS {name};
  RETURN false;
EXCEPTION WHEN data_exception THEN RETURN true;
END
"""


@dataclass(frozen=True, slots=True)
class Table:
    """A table that there is, or was before the revision was rolled back."""

    schema: str
    name: str
    oid: int = 0
    forced: bool = False  # row-level security binds its owner too
    columns: tuple[str, ...] = ()
    key: tuple[str, ...] = ()  # the primary key, where it may be shown

    @property
    def identifier(self) -> sql.Identifier:
        """The name as SQL has it."""
        return sql.Identifier(self.schema, self.name)

    def __str__(self) -> str:
        """Return the name as people have it."""
        return self.name if self.schema == "public" else f"{self.schema}.{self.name}"

    def column(self, name: str) -> sql.Identifier:
        """Return the name of a column that means no other's."""
        return sql.Identifier(self.name, name)

    @property
    def keys(self) -> sql.Composed:
        """What tells a row from others and may be shown, as k1, k2, ..."""
        if not self.key:
            return sql.SQL("{}.ctid::text AS k1").format(sql.Identifier(self.name))
        return _list(
            sql.SQL("{} AS {}").format(self.column(name), sql.Identifier(f"k{n}"))
            for n, name in enumerate(self.key, 1)
        )

    @property
    def shown_keys(self) -> sql.Composed:
        """The same where a query of `keys` is queried."""
        return _list(sql.Identifier(f"k{n}") for n in range(1, max(1, len(self.key)) + 1))


@dataclass(frozen=True, slots=True)
class Demand:
    """What rows have to meet."""

    table: Table
    columns: tuple[str, ...]
    rows: sql.Composed  # selects the keys of those that do not
    others: tuple[Table, ...] = ()  # that are read for it
    before: sql.Composed | None = None  # what the query needs
    type: str = ""  # that values do not fit into

    @property
    def tables(self) -> tuple[Table, ...]:
        """All that are read."""
        return (self.table, *self.others)


def find(connection: psycopg.Connection[Any], name: str) -> Table | None:
    """Return a table by its name as SQL has it; None where it was rolled back."""
    row = connection.execute(_TABLE, {"name": name}).fetchone()
    if row is None:
        return None
    oid, schema, relation, forced, columns, key, showable = row
    return Table(schema, relation, oid, forced, tuple(columns), tuple(key) if showable else ())


def columns_of(connection: psycopg.Connection[Any], table: Table, name: str) -> tuple[str, ...]:
    """Return the columns of a constraint or an index that there is."""
    values = {"table": table.identifier.as_string(connection), "name": name}
    row = connection.execute(_COLUMNS, values).fetchone()
    return () if row is None else tuple(row[0])


def of_column(connection: psycopg.Connection[Any], table: Table, column: str) -> Demand | None:
    """Return the demand that a column is filled; where it is new, no row meets it."""
    found = find(connection, table.identifier.as_string(connection))
    if found is None:
        return None
    new = column not in found.columns
    empty = sql.SQL("true") if new else sql.SQL("{} IS NULL").format(found.column(column))
    return Demand(found, (column,), _where(found, empty))


def of_catalog(connection: psycopg.Connection[Any], table: Table, name: str) -> Demand | None:
    """Return the demand of a constraint that is not validated yet."""
    found = find(connection, table.identifier.as_string(connection))
    if found is None:
        return None
    row = connection.execute(_CONSTRAINT, {"oid": found.oid, "name": name}).fetchone()
    if row is None:
        return None
    kind, expression, columns, other, referred = row
    if kind == "c":
        return Demand(found, tuple(columns), _where(found, _not(expression)))
    parent = find(connection, other) if kind == "f" else None
    return None if parent is None else _refers(found, tuple(columns), parent, tuple(referred))


def of_clause(
    connection: psycopg.Connection[Any], clause: Clause, table: Table | None
) -> Demand | None:
    """Return the demand of a clause, on the table that the server named or the clause does."""
    name = clause.table if table is None else table.identifier.as_string(connection)
    found = find(connection, name)
    if found is None:
        return None
    match clause:
        case Check():
            return Demand(
                found, _named(found, clause.condition), _where(found, _not(clause.condition))
            )
        case Unique():
            return _unique(found, clause)
        case Exclusion():
            return _exclusion(found, clause)
        case Reference():
            parent = find(connection, clause.other)
            if parent is None:
                return None
            referred = tuple(map(plain, clause.referred)) or parent.key
            return _refers(found, tuple(map(plain, clause.columns)), parent, referred)
        case Retyped():
            return _retyped(found, clause)


def _refers(
    table: Table, columns: tuple[str, ...], other: Table, referred: tuple[str, ...]
) -> Demand | None:
    if len(columns) != len(referred):  # a key that is no number, and was not named
        return None
    parent = sql.Identifier("pgstead_parent")
    pairs = [
        sql.SQL("{}.{} = {}").format(parent, sql.Identifier(theirs), table.column(mine))
        for mine, theirs in zip(columns, referred, strict=True)
    ]
    filled = [sql.SQL("{} IS NOT NULL").format(table.column(mine)) for mine in columns]
    orphan = sql.SQL("{} AND NOT EXISTS (SELECT FROM {} AS {} WHERE {})").format(
        _and(filled), other.identifier, parent, _and(pairs)
    )
    return Demand(table, columns, _where(table, orphan), (other,))


def _unique(table: Table, clause: Unique) -> Demand:
    elements = [_raw(element) for element in clause.elements]
    conditions = [_raw(clause.where)] if clause.where else []
    if not clause.nulls_equal:
        conditions += [sql.SQL("({}) IS NOT NULL").format(element) for element in elements]
    rows = sql.SQL(
        "SELECT {shown} FROM (SELECT {keys}, count(*) OVER (PARTITION BY {elements}) AS same"
        " FROM {table} WHERE {where}) AS pgstead_rows WHERE same > 1"
    ).format(
        shown=table.shown_keys,
        keys=table.keys,
        elements=_list(elements),
        table=table.identifier,
        where=_and(conditions or [sql.SQL("true")]),
    )
    return Demand(table, _named(table, *clause.elements), rows)


def _exclusion(table: Table, clause: Exclusion) -> Demand:
    values = [
        sql.SQL("({}) AS {}").format(_raw(expression), sql.Identifier(f"e{n}"))
        for n, (expression, _) in enumerate(clause.elements)
    ]
    conflicts = [
        sql.SQL("a.{0} {1} b.{0}").format(sql.Identifier(f"e{n}"), _raw(operator))
        for n, (_, operator) in enumerate(clause.elements)
    ]
    rows = sql.SQL(
        "WITH x AS (SELECT {keys}, tableoid AS t, ctid AS c, {values} FROM {table} WHERE {where})"
        " SELECT {shown} FROM x AS a"
        " WHERE EXISTS (SELECT FROM x AS b WHERE (a.t, a.c) <> (b.t, b.c) AND {conflicts})"
    ).format(
        shown=table.shown_keys,
        keys=table.keys,
        values=_list(values),
        table=table.identifier,
        where=_raw(clause.where or "true"),
        conflicts=_and(conflicts),
    )
    return Demand(table, _named(table, *(expression for expression, _ in clause.elements)), rows)


def _retyped(table: Table, clause: Retyped) -> Demand:
    body = sql.SQL(_FAILS).format(
        type=_raw(clause.type),
        using=_raw(clause.using or clause.column),
        name=sql.Identifier(table.name),
    )
    make = sql.SQL(_MAKE_FAILS).format(
        table=table.identifier, body=sql.Literal(body.as_string(None))
    )
    fails = sql.SQL("pg_temp.pgstead_fails({})").format(sql.Identifier(table.name))
    return Demand(
        table, (plain(clause.column),), _where(table, fails), before=make, type=clause.type
    )


def _where(table: Table, condition: sql.Composable) -> sql.Composed:
    return sql.SQL("SELECT {} FROM {} WHERE {}").format(table.keys, table.identifier, condition)


def _not(condition: str) -> sql.Composed:
    return sql.SQL("NOT ({})").format(_raw(condition))


def _named(table: Table, *expressions: str) -> tuple[str, ...]:
    """Return the columns that expressions name, in the order of the table."""
    names = frozenset[str]().union(*map(words, expressions))
    return tuple(column for column in table.columns if column in names)


def _raw(text: str) -> sql.SQL:
    """Take over what the revision has in it, or the server's own spelling of it."""
    return sql.SQL(text)  # pyright: ignore[reportArgumentType]


def _list(parts: Iterable[sql.Composable]) -> sql.Composed:
    return sql.SQL(", ").join(parts)


def _and(parts: Sequence[sql.Composable]) -> sql.Composed:
    return sql.SQL(" AND ").join(parts)
