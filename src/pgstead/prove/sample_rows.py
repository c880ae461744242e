"""Rows made up from the catalog and the models, for tables that the prover has never seen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from psycopg import sql

from pgstead.prove.finding import Answer, CannotTryError
from pgstead.prove.sample_values import Guesses
from pgstead.prove.session import Rows, Session
from pgstead.prove.tables import Catalog, Column, ForeignKey, Table

Row = dict[str, Any]
FIRST, SECOND = 0, 1


@dataclass
class RowMaker:
    """Inserts a row into a table, and the rows that it refers to, as whoever the session is.

    Where row-level security asks for whom a row is, the maker says so: somebody that it makes up,
    the same for all of its rows. Two makers are two tenants.
    """

    catalog: Catalog
    session: Session
    settings: dict[str, str] = field(default_factory=dict[str, str])
    made: dict[tuple[int, int], Row] = field(default_factory=dict[tuple[int, int], Row])
    inserts: dict[int, Answer[Rows]] = field(default_factory=dict[int, Answer[Rows]])

    def __post_init__(self) -> None:
        self._guesses = Guesses(self.session)

    def row(self, oid: int, trail: tuple[int, ...] = (), which: int = FIRST) -> Row:
        """Return the row of a table, made when it is first asked for.

        `which` is for who needs two rows of one table. Raises CannotTryError when the table
        refuses what can be made up for it.
        """
        if (oid, which) in self.made:
            return self.made[oid, which]
        if oid in trail or oid not in self.catalog.tables:
            raise CannotTryError("tables that need each other's rows cannot be made up")
        table = self.catalog.tables[oid]
        values = self._values(table, (*trail, oid))
        with self.session.connection.transaction():  # a refusal undoes this row alone
            told = self.session.ask(_insert(table, values), list(values.values()))
        # RETURNING * keeps the order of the columns.
        row = dict(zip((c.name for c in table.columns), told.value[0], strict=True))
        self.inserts[oid], self.made[oid, which] = told, row
        return row

    def act(self) -> None:
        """Say again for whom the rows are, after another maker has said something else."""
        for setting, value in self.settings.items():
            self.session.ask("SELECT set_config(%s, %s, true)", [setting, value])

    def value(self, column: Column) -> Any:
        """Return a new value for a column."""
        return self._guesses.value(column)

    def _values(self, table: Table, trail: tuple[int, ...]) -> Row:
        values = self._belonging(table, trail)
        whose = table.rule.column if table.rule is not None else ""
        values.update(self._referring(table, whose, trail))
        # what encrypted values are bound to is not left to the server
        named = {whose, *(name for encrypted in table.sealed for name in encrypted.binding)}
        for column in table.columns:
            if column.name not in values and (column.required or column.name in named):
                values[column.name] = self.value(column)
        self._say(table, values)
        for encrypted in table.sealed:
            values[encrypted.column] = encrypted.sample(values, self.catalog.ring)
        return values

    def _belonging(self, table: Table, trail: tuple[int, ...]) -> Row:
        """Return the value by which a row is somebody's; a row that it is looked up in is made."""
        rule = table.rule
        if rule is None:
            return {}
        if not rule.table:
            said = self.settings.get(rule.setting)
            return {} if said is None else {rule.column: said}
        other = self.catalog.named(rule.table)
        return {} if other is None else {rule.column: self.row(other.oid, trail)[rule.key]}

    def _referring(self, table: Table, whose: str, trail: tuple[int, ...]) -> Row:
        """Return the values that refer to other rows; these are made first.

        A reference with a column that may be null refers to nothing.
        """
        values: Row = {}
        filled = {c.name for c in table.columns if c.filled or c.name == whose}
        keys = [k for k in self.catalog.of_table(table.oid) if filled >= set(k.columns)]
        for number, key in enumerate(keys):
            apart = any(_apart(table, key, earlier) for earlier in keys[:number])
            parent = self.row(key.parent, trail, SECOND if apart else FIRST)
            values.update(zip(key.columns, (parent[name] for name in key.referred), strict=True))
        return values

    def _say(self, table: Table, values: Row) -> None:
        """Say for whom the row is, where this is the first one that asks."""
        rule = table.rule
        if rule is None or rule.table or rule.setting in self.settings:
            return
        self.settings[rule.setting] = str(values[rule.column])
        self.act()


def _apart(table: Table, one: ForeignKey, other: ForeignKey) -> bool:
    """Say whether a CHECK compares two references to one table: then they need two rows."""
    mine, theirs = set(one.columns) - set(other.columns), set(other.columns) - set(one.columns)
    return one.parent == other.parent and any(of & mine and of & theirs for of in table.joint)


def _insert(table: Table, values: Row) -> sql.Composed:
    if not values:
        return sql.SQL("INSERT INTO {} DEFAULT VALUES RETURNING *").format(table.identifier)
    return sql.SQL("INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE VALUES ({}) RETURNING *").format(
        table.identifier,
        sql.SQL(", ").join(map(sql.Identifier, values)),
        sql.SQL(", ").join(sql.Placeholder() * len(values)),
    )
