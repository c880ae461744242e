"""The schema as the revisions so far have made it, as far as their text tells.

What was made elsewhere, or by a text that a DO block puts together, is not known here: a rule that
needs such a fact must say what it does without.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, field, replace

from pgstead.lint.column_types import Type


@dataclass(slots=True)
class Column:
    """A column."""

    name: str
    type: Type | None
    required: bool = False


@dataclass(slots=True)
class Constraint:
    """A constraint of a table; `columns` of a foreign key are the referencing ones."""

    name: str
    kind: str  # check, foreign, unique, primary, exclude, not-null
    columns: tuple[str, ...] = ()
    valid: bool = True
    refers: str = ""
    required: str = ""  # the column that a check demands to be NOT NULL


@dataclass(slots=True)
class Index:
    """An index; expressions are empty names."""

    name: str
    table: str
    columns: tuple[str, ...]
    unique: bool = False
    partial: bool = False
    method: str = "btree"


@dataclass(slots=True)
class Table:
    """A table, with the revision and the line that made it."""

    name: str
    revision: str
    line: int
    kind: str = "table"  # or partitioned, partition, matview
    columns: dict[str, Column] = field(default_factory=dict[str, Column])
    constraints: dict[str, Constraint] = field(default_factory=dict[str, Constraint])
    policies: dict[str, bool] = field(default_factory=dict[str, bool])  # name -> permissive
    secured: bool = False
    forced: bool = False

    def copy(self) -> Table:
        """Return a table that may be changed without changing this one."""
        return replace(
            self,
            columns={name: copy(column) for name, column in self.columns.items()},
            constraints={name: copy(constraint) for name, constraint in self.constraints.items()},
            policies=dict(self.policies),
        )

    def keys(self) -> list[tuple[str, ...]]:
        """Return what is unique by a constraint."""
        return [c.columns for c in self.constraints.values() if c.kind in {"unique", "primary"}]


@dataclass(slots=True)
class Schema:
    """All that is known of a database."""

    tables: dict[str, Table] = field(default_factory=dict[str, Table])
    indexes: dict[str, Index] = field(default_factory=dict[str, Index])
    others: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])  # (kind, name)

    def table(self, name: str) -> Table | None:
        """Return a table, if a revision made it."""
        return self.tables.get(name)

    def column(self, table: str, column: str) -> Column | None:
        """Return a column, if a revision made it."""
        found = self.tables.get(table)
        return found.columns.get(column) if found else None

    def constraint(self, table: str, name: str) -> Constraint | None:
        """Return a constraint, if a revision made it."""
        found = self.tables.get(table)
        return found.constraints.get(name) if found else None

    def indexes_of(self, table: str) -> list[Index]:
        """Return the indexes of a table, those of its keys included."""
        found = self.tables.get(table)
        own = [i for i in self.indexes.values() if i.table == table]
        keys = found.constraints.values() if found else ()
        return own + [
            Index(c.name, table, c.columns, unique=True)
            for c in keys
            if c.kind in {"unique", "primary"}
        ]

    def part(self, names: frozenset[str]) -> Schema:
        """Return a copy of some tables with their indexes, and of all that is not of a table."""
        return Schema(
            tables={name: t.copy() for name, t in self.tables.items() if name in names},
            indexes={name: copy(i) for name, i in self.indexes.items() if i.table in names},
            others=set(self.others),
        )

    @property
    def uses_row_security(self) -> bool:
        """Some table is secured by row."""
        return any(t.secured for t in self.tables.values())
