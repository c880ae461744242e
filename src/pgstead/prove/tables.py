"""The tables of a database as its catalog tells them, and what the models say of their rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from pgstead.model.design import DatabasePlan
from pgstead.prove import models, sealed
from pgstead.prove.finding import CannotTryError
from pgstead.prove.row_security import Rule, rules_by_table
from pgstead.prove.sealed import Keys, Sealed
from pgstead.prove.session import Rows
from pgstead.prove.witness import Witness

_COLUMNS = """
SELECT c.oid::bigint, n.nspname::text, c.relname::text, a.attname::text,
       format_type(a.atttypid, a.atttypmod),
       a.attnotnull, NOT a.atthasdef AND a.attidentity = '' AND a.attgenerated = '',
       EXISTS (SELECT FROM pg_catalog.pg_index AS i
               WHERE i.indrelid = c.oid AND i.indisprimary AND a.attnum = ANY (i.indkey)),
       (SELECT array_agg(e.enumlabel::text ORDER BY e.enumsortorder)
        FROM pg_catalog.pg_enum AS e WHERE e.enumtypid = a.atttypid)
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND NOT c.relispartition
  AND c.relname <> 'alembic_version'
ORDER BY c.relname, a.attnum
"""

_KEYS = """
SELECT k.conrelid::bigint, k.confrelid::bigint,
       (SELECT array_agg(a.attname::text ORDER BY x.n)
        FROM unnest(k.conkey) WITH ORDINALITY AS x (c, n)
        JOIN pg_catalog.pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = x.c),
       (SELECT array_agg(a.attname::text ORDER BY x.n)
        FROM unnest(k.confkey) WITH ORDINALITY AS x (c, n)
        JOIN pg_catalog.pg_attribute AS a ON a.attrelid = k.confrelid AND a.attnum = x.c),
       k.conname::text
FROM pg_catalog.pg_constraint AS k
WHERE k.contype = 'f' AND k.connamespace = 'public'::regnamespace
ORDER BY k.conname
"""

_CHECKS = """
SELECT k.conrelid::bigint, pg_get_expr(k.conbin, k.conrelid),
       (SELECT array_agg(a.attname::text ORDER BY a.attnum) FROM pg_catalog.pg_attribute AS a
        WHERE a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey))
FROM pg_catalog.pg_constraint AS k
WHERE k.contype = 'c' AND k.connamespace = 'public'::regnamespace AND k.conkey <> '{}'
ORDER BY k.conname
"""


@dataclass(frozen=True, slots=True)
class Column:
    """A column, and what an INSERT has to know of it."""

    name: str
    type: str
    filled: bool  # NOT NULL
    required: bool  # NOT NULL, and the server fills nothing in
    key: bool  # of the primary key
    labels: tuple[str, ...]  # of an enum
    checks: tuple[str, ...]  # conditions on this column alone


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A reference to another table."""

    name: str
    table: int
    parent: int
    columns: tuple[str, ...]
    referred: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A table with its columns, and what the models say of its rows."""

    oid: int
    schema: str
    name: str
    columns: tuple[Column, ...]
    joint: tuple[frozenset[str], ...]  # columns that a CHECK compares with each other
    rules: tuple[Rule, ...]  # whose rows they are; alternatives
    sealed: tuple[Sealed, ...]
    withheld: frozenset[str]  # privileges that the application shall not have

    @property
    def identifier(self) -> sql.Identifier:
        """The name as SQL has it."""
        return sql.Identifier(self.schema, self.name)

    @property
    def key(self) -> tuple[str, ...]:
        """The columns that tell a row from others."""
        return tuple(c.name for c in self.columns if c.key) or (self.columns[0].name,)

    @property
    def rule(self) -> Rule | None:
        """By what a row is given to somebody: a column of its own, before one of another table."""
        return next((r for r in self.rules if not r.table), next(iter(self.rules), None))

    def column(self, name: str) -> Column:
        """Return a column."""
        return next(c for c in self.columns if c.name == name)

    def has(self, *names: str) -> bool:
        """Say whether the table has all of these columns."""
        return set(names) <= {c.name for c in self.columns}

    def where(self, row: Mapping[str, Any]) -> sql.Composed:
        """Return the condition that a row alone meets."""
        return equal({name: row[name] for name in self.key})


def assignments(values: Mapping[str, Any]) -> sql.Composed:
    """Return what follows SET in an UPDATE."""
    return sql.SQL(", ").join(_pairs(values))


def equal(values: Mapping[str, Any]) -> sql.Composed:
    """Return the condition that columns have these values."""
    return sql.SQL(" AND ").join(_pairs(values))


def _pairs(values: Mapping[str, Any]) -> Iterator[sql.Composed]:
    for name, value in values.items():
        yield sql.SQL("{} = {}").format(sql.Identifier(name), sql.Literal(value))


@dataclass(frozen=True)
class Catalog:
    """The tables of a database and how they refer to each other."""

    tables: dict[int, Table]
    references: tuple[ForeignKey, ...]
    ring: Keys | None  # of encrypted columns

    @classmethod
    def of(cls, w: Witness, plan: DatabasePlan) -> Catalog:
        """Read a database's catalog, once a run."""
        return w.once(f"catalog of {plan.name}", lambda: _read(w, plan))

    def of_table(self, oid: int) -> tuple[ForeignKey, ...]:
        """Return the references of a table."""
        return tuple(k for k in self.references if k.table == oid)

    def named(self, name: str) -> Table | None:
        """Return a table by its name."""
        return next((t for t in self.tables.values() if t.name == name), None)


def _read(w: Witness, plan: DatabasePlan) -> Catalog:
    directory = w.imported_from(plan)
    rules = rules_by_table(w, plan)
    encrypted = sealed.of_database(w, plan)
    withheld = models.withheld(plan.models, directory) if plan.models else {}
    with w.backstage(plan.name) as session:
        columns, references, checks = (
            session.ask(query).value for query in (_COLUMNS, _KEYS, _CHECKS)
        )
    tables: dict[int, Table] = {}
    for oid, schema, name in dict.fromkeys((row[0], row[1], row[2]) for row in columns):
        mine = [(text, frozenset(of)) for table, text, of in checks if table == oid]
        tables[oid] = Table(
            oid,
            schema,
            name,
            tuple(_column(row, mine) for row in columns if row[0] == oid),
            tuple(of for _text, of in mine if len(of) > 1),
            rules.get(name, ()),
            tuple(s for s in encrypted if s.table == name),
            withheld.get(name, frozenset()),
        )
    return Catalog(tables, _references(references), _ring(w, plan) if encrypted else None)


def _column(row: tuple[Any, ...], checks: Sequence[tuple[str, frozenset[str]]]) -> Column:
    _oid, _schema, _table, name, kind, filled, empty, key, labels = row
    mine = tuple(text for text, of in checks if of == frozenset([name]))
    return Column(name, kind, filled, filled and empty, key, tuple(labels or ()), mine)


def _references(rows: Rows) -> tuple[ForeignKey, ...]:
    return tuple(
        ForeignKey(name, table, parent, tuple(columns), tuple(referred))
        for table, parent, columns, referred, name in rows
    )


def _ring(w: Witness, plan: DatabasePlan) -> Keys | None:
    """Return the keys, or None: rows are made all the same, and what needs keys says so."""
    try:
        return sealed.keys_of(w, plan.name)
    except CannotTryError:
        return None
