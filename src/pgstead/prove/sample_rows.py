"""Rows made up from the catalog alone, for tables that the prover has never seen."""

from __future__ import annotations

import secrets
import uuid
from dataclasses import dataclass, field
from typing import Any

from psycopg import sql

from pgstead.model.design import DatabasePlan
from pgstead.prove.finding import Answer, CannotTryError
from pgstead.prove.row_security import Rule, rules_by_table
from pgstead.prove.session import Rows, Session
from pgstead.prove.witness import Witness

_COLUMNS = """
SELECT c.oid::bigint, n.nspname::text, c.relname::text, a.attname::text,
       format_type(a.atttypid, NULL), t.typtype::text,
       a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AND a.attgenerated = '',
       (SELECT array_agg(e.enumlabel::text ORDER BY e.enumsortorder)
        FROM pg_catalog.pg_enum AS e WHERE e.enumtypid = t.oid)
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND NOT c.relispartition
  AND c.relname <> 'alembic_version'
ORDER BY c.relname, a.attnum
"""

_KEYS = """
SELECT k.conrelid::bigint, k.confrelid::bigint, k.confdeltype::text,
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


@dataclass(frozen=True, slots=True)
class Column:
    """A column, and whether an INSERT has to name it."""

    name: str
    type: str
    kind: str
    required: bool
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A reference to another table."""

    name: str
    table: int
    parent: int
    on_delete: str  # pg_constraint.confdeltype: c cascade, a no action, r restrict, n set null
    columns: tuple[str, ...]
    referred: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A table with its columns."""

    oid: int
    schema: str
    name: str
    columns: tuple[Column, ...]

    @property
    def identifier(self) -> sql.Identifier:
        """The name as SQL has it."""
        return sql.Identifier(self.schema, self.name)

    def has(self, *names: str) -> bool:
        """Say whether the table has all of these columns."""
        return set(names) <= {c.name for c in self.columns}


@dataclass(frozen=True)
class Catalog:
    """The tables of a database and how they refer to each other."""

    tables: dict[int, Table]
    keys: tuple[ForeignKey, ...]
    rules: dict[str, tuple[Rule, ...]]  # whose rows they are, by table

    @classmethod
    def of(cls, w: Witness, plan: DatabasePlan) -> Catalog:
        """Read a database's catalog."""
        database = plan.name
        found: dict[int, list[Any]] = {}
        for row in w.look(_COLUMNS, database=database).value:
            oid, schema, name, column, type_name, kind, required, labels = row
            entry = found.setdefault(oid, [schema, name, []])
            entry[2].append(Column(column, type_name, kind, required, tuple(labels or ())))
        keys = tuple(
            ForeignKey(name, table, parent, action, tuple(columns), tuple(referred))
            for table, parent, action, columns, referred, name in w.look(
                _KEYS, database=database
            ).value
        )
        tables = {
            oid: Table(oid, schema, name, tuple(columns))
            for oid, (schema, name, columns) in found.items()
        }
        return cls(tables, keys, rules_by_table(w, plan))

    def of_table(self, oid: int) -> tuple[ForeignKey, ...]:
        """Return the references of a table."""
        return tuple(k for k in self.keys if k.table == oid)


@dataclass
class RowMaker:
    """Inserts a row into a table, and the rows that it refers to, as whoever the session is.

    Where row-level security asks for whom a row is, the maker says so: somebody that it makes up,
    the same for all of its rows. Two makers are two tenants.
    """

    catalog: Catalog
    session: Session
    settings: dict[str, str] = field(default_factory=dict[str, str])
    made: dict[int, dict[str, Any]] = field(default_factory=dict[int, dict[str, Any]])
    inserts: dict[int, Answer[Rows]] = field(default_factory=dict[int, Answer[Rows]])

    def row(self, oid: int, trail: tuple[int, ...] = ()) -> dict[str, Any]:
        """Return the row of a table, made when it is first asked for.

        Raises CannotTryError when the table refuses what can be made up for it.
        """
        if oid in self.made:
            return self.made[oid]
        if oid in trail or oid not in self.catalog.tables:
            raise CannotTryError("tables that need each other's rows cannot be made up")
        table = self.catalog.tables[oid]
        values = self._values(table, (*trail, oid))
        columns = sql.SQL(", ").join(map(sql.Identifier, values))
        holes = sql.SQL(", ").join(sql.Placeholder() * len(values))
        body = (
            sql.SQL("({}) VALUES ({})").format(columns, holes)
            if values
            else sql.SQL("DEFAULT VALUES")
        )
        insert = sql.SQL("INSERT INTO {} {} RETURNING *").format(table.identifier, body)
        told = self.session.ask(insert, list(values.values()))
        # RETURNING * keeps the order of the columns.
        self.inserts[oid] = told
        self.made[oid] = dict(zip((c.name for c in table.columns), told.value[0], strict=True))
        return self.made[oid]

    def act(self) -> None:
        """Say again for whom the rows are, after another maker has said something else."""
        for setting, value in self.settings.items():
            self.session.ask("SELECT set_config(%s, %s, true)", [setting, value])

    def _values(self, table: Table, trail: tuple[int, ...]) -> dict[str, Any]:
        required = {c.name: c for c in table.columns if c.required}
        values: dict[str, Any] = self._belonging(table, trail)
        for key in self.catalog.of_table(table.oid):
            if required.keys() & set(key.columns):
                parent = self.row(key.parent, trail)
                pairs = zip(key.columns, key.referred, strict=True)
                values.update({mine: parent[theirs] for mine, theirs in pairs})
        for name, column in required.items():
            if name not in values:
                values[name] = made_up(column)
        self._say(table, values)
        return values

    def _belonging(self, table: Table, trail: tuple[int, ...]) -> dict[str, Any]:
        """Return the value by which a row is looked up for somebody; that row is made first."""
        rule = next(iter(self.catalog.rules.get(table.name, ())), None)
        if rule is None:
            return {}
        if not rule.table:
            said = self.settings.get(rule.setting)
            return {} if said is None else {rule.column: said}
        for oid, other in self.catalog.tables.items():
            if other.name == rule.table:
                return {rule.column: self.row(oid, trail)[rule.key]}
        return {}

    def _say(self, table: Table, values: dict[str, Any]) -> None:
        """Say for whom the row is: for whom it refers to, else for somebody made up."""
        rule = next(iter(self.catalog.rules.get(table.name, ())), None)
        if rule is None or rule.table or rule.setting in self.settings:
            return
        column = next(c for c in table.columns if c.name == rule.column)
        value = values.get(rule.column) or made_up(column)
        values[rule.column] = value
        self.settings[rule.setting] = str(value)
        self.act()


def made_up(column: Column) -> Any:
    """Return a value for a column that needs one."""
    if column.labels:
        return column.labels[0]
    word = secrets.token_hex(8)
    if "mail" in column.name:
        return f"proof-{word}@example.org"
    if "url" in column.name:
        return f"https://example.org/{word}"
    plain = {
        "uuid": uuid.uuid4(),
        "boolean": False,
        "jsonb": "{}",
        "json": "{}",
        "inet": "127.0.0.1",
        "cidr": "127.0.0.0/8",
        "bytea": b"proof",
        "date": "2026-01-01",
        "interval": "1 day",
    }
    if column.type in plain:
        return plain[column.type]
    if column.type in {"integer", "bigint", "smallint", "numeric", "double precision", "real"}:
        return 1
    if column.type.startswith(("timestamp", "time")):
        return "2026-01-01 00:00:00+00"
    return "{}" if column.type.endswith("[]") else f"proof {word}"
