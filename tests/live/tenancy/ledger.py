"""What must be there and who may see it: a schema as its models declare it, without a server.

The machine asks the ledger first and the server afterwards; they have to agree. Values are kept as
the server writes them as text, so that comparing needs no types.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from sqlalchemy import Computed, MetaData, Table, UniqueConstraint
from sqlalchemy.types import DateTime, Integer, String

from pgstead.app.tenancy import RowSecurity, Rule, declared

Row = dict[str, str | None]
Key = tuple[str | None, ...]
Said = Mapping[str, str]  # settings of the transaction


class Verdict(Enum):
    """What becomes of a statement; the value is the error's SQLSTATE."""

    DONE = ""
    UNSEEN = "no row"
    DENIED = "42501"
    TAKEN = "23505"
    DANGLING = "23503"
    REFUSED = "23514"


@dataclass(frozen=True)
class Reference:
    """A foreign key."""

    columns: tuple[str, ...]
    parent: str
    referred: tuple[str, ...]
    ondelete: str
    nulled: tuple[str, ...]  # what SET NULL empties
    cascades: bool  # on update

    def target(self, row: Row) -> Key | None:
        """Return what a row refers to; None where it refers to nothing."""
        found = tuple(row[column] for column in self.columns)
        return None if None in found else found


@dataclass(frozen=True)
class Shape:
    """A table as far as it matters who sees which row."""

    table: Table
    name: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    references: tuple[Reference, ...]
    uniques: tuple[tuple[str, ...], ...]
    security: RowSecurity | None
    content: str | None  # a column that means nothing to anybody, to be changed

    @classmethod
    def of(cls, table: Table, flags: frozenset[str] = frozenset()) -> Shape:
        """Read a table's declaration."""
        key = tuple(column.name for column in table.primary_key)
        references = tuple(_references(table))
        uniques = (key, *_uniques(table))
        security = declared(table)
        named = [*key, *(c for unique in uniques for c in unique)]
        named += [c for reference in references for c in reference.columns]
        named += [c for rule in rules_of(security) for c in [rule.column]]
        content = next(iter(flags), _content(table, frozenset(named)))
        columns = tuple(dict.fromkeys([*named, *([content] if content else [])]))
        return cls(table, table.name, key, columns, references, uniques, security, content)

    def key_of(self, row: Row) -> Key:
        """Return a row's key."""
        return tuple(row[column] for column in self.key)


def rules_of(security: RowSecurity | None) -> tuple[Rule, ...]:
    """Return all rules that a declaration has."""
    if security is None:
        return ()
    return (*security.rules, *security.shown, *security.written)


def shapes(metadata: MetaData) -> dict[str, Shape]:
    """Return the tables that are protected, and those that they refer to, parents first."""
    rules = [rule for table in metadata.sorted_tables for rule in rules_of(declared(table))]
    found = {
        table.name: Shape.of(
            table, frozenset(r.flag for r in rules if r.flag and r.table == table.name)
        )
        for table in metadata.sorted_tables
    }
    wanted = {name for name, shape in found.items() if shape.security is not None}
    wanted |= {reference.parent for name in wanted for reference in found[name].references}
    return {name: shape for name, shape in found.items() if name in wanted}


def _references(table: Table) -> Iterator[Reference]:
    for key in sorted(table.foreign_key_constraints, key=lambda k: (-len(k.elements), str(k.name))):
        columns = tuple(element.parent.name for element in key.elements)
        how, _, named = (key.ondelete or "").partition("(")
        nulled = tuple(named.rstrip(")").split(", ")) if named else columns
        yield Reference(
            columns,
            key.referred_table.name,
            tuple(element.column.name for element in key.elements),
            how.strip().upper(),
            nulled,
            (key.onupdate or "").upper() == "CASCADE",
        )


def _uniques(table: Table) -> Iterator[tuple[str, ...]]:
    for constraint in sorted(table.constraints, key=lambda c: str(c.name)):
        if isinstance(constraint, UniqueConstraint):
            yield tuple(column.name for column in constraint.columns)
    for index in sorted(table.indexes, key=lambda i: str(i.name)):
        if index.unique:
            yield tuple(column.name for column in index.columns)


def _content(table: Table, named: frozenset[str]) -> str | None:
    checks = " ".join(str(getattr(c, "sqltext", "")) for c in table.constraints)
    for kind in (String, DateTime, Integer):
        for column in table.columns:
            plain = isinstance(column.type, kind) and not isinstance(
                column.server_default, Computed
            )
            stamp = column.name in {"created_at", "updated_at"}
            constrained = re.search(rf"\b{re.escape(column.name)}\b", checks)
            if plain and not stamp and not constrained and column.name not in named:
                return column.name
    return None


class Ledger:
    """The rows of everybody, and what each may see of them and do to them."""

    def __init__(
        self,
        known: dict[str, Shape],
        rights: Mapping[str, frozenset[str]],
        fixed: Mapping[str, frozenset[str]],
        keepers: Mapping[str, str],
    ) -> None:
        """Begin without rows; `rights` and `fixed` (columns) are what the server grants.

        `keepers` are columns that only whom they name may change.
        """
        self.shapes, self.rights, self.fixed, self.keepers = known, rights, fixed, keepers
        self.rows: dict[str, dict[Key, Row]] = {name: {} for name in known}

    # -- who sees what --------------------------------------------------------------------------

    def shows(self, name: str, row: Row, said: Said) -> bool:
        """Say whether a row is seen."""
        security = self.shapes[name].security
        if security is None:
            return True
        return any(self.holds(rule, row, said) for rule in (*security.rules, *security.shown))

    def opens(self, name: str, row: Row, said: Said) -> bool:
        """Say whether a row that is there may be changed and deleted."""
        security = self.shapes[name].security
        return security is None or any(self.holds(rule, row, said) for rule in security.rules)

    def takes(self, name: str, row: Row, said: Said) -> bool:
        """Say whether a row may be written."""
        security = self.shapes[name].security
        if security is None or not security.written:
            return self.opens(name, row, said)
        return all(self.holds(rule, row, said) for rule in security.written)

    def holds(self, rule: Rule, row: Row, said: Said) -> bool:
        """Say whether a rule lets a row through."""
        value = row[rule.column]
        return rule.or_null if value is None else value in self._values(rule, said)

    def _values(self, rule: Rule, said: Said) -> set[str | None]:
        """Return what the rule's column may hold."""
        wanted = said.get(rule.setting, "")
        if not wanted or not rule.table:
            return {wanted} - {""}
        return {
            other[rule.key]
            for other in self.rows[rule.table].values()
            if other[rule.member] == wanted
            and (not rule.flag or other[rule.flag] == "true")
            and self.shows(rule.table, other, said)
        }

    def seen(self, name: str, said: Said) -> dict[Key, Row]:
        """Return what somebody sees of a table."""
        security = self.shapes[name].security
        if security is None:
            return dict(self.rows[name])
        values = [(r.column, self._values(r, said)) for r in (*security.rules, *security.shown)]
        return {
            key: row
            for key, row in self.rows[name].items()
            if any(row[column] in wanted for column, wanted in values)
        }

    # -- what becomes of a statement ------------------------------------------------------------

    def insertion(self, name: str, row: Row, said: Said) -> Verdict:
        """Say what becomes of a row that is written."""
        if "INSERT" not in self.rights[name] or not self.takes(name, row, said):
            return Verdict.DENIED
        return self._constraints(name, row, None)

    def upsertion(self, name: str, row: Row, said: Said) -> Verdict:
        """Say what becomes of a row that is written over the one that has its key."""
        there = self.rows[name].get(self.shapes[name].key_of(row))
        mine = {"INSERT", "UPDATE"} <= self.rights[name] and self.takes(name, row, said)
        if not mine or not self.shows(name, row, said):
            return Verdict.DENIED
        if there is None:
            return self._constraints(name, row, None)
        content = self.shapes[name].content
        after = {**there, content: row[content]} if content else there
        if not (self.opens(name, there, said) and self.takes(name, after, said)):
            return Verdict.DENIED
        return Verdict.DONE

    def change(self, name: str, key: Key, values: Row, said: Said) -> Verdict:
        """Say what becomes of a row that is changed."""
        row = self.rows[name][key]
        if "UPDATE" not in self.rights[name]:
            return Verdict.DENIED
        if not (self.shows(name, row, said) and self.opens(name, row, said)):
            return Verdict.UNSEEN
        after = {**row, **values}
        changed = {column for column in row if row[column] != after[column]}
        kept = self.keepers.get(name, "")
        if changed & self.fixed[name] or (kept in changed and row[kept] not in said.values()):
            return Verdict.REFUSED
        if not self.takes(name, after, said) or not self.shows(name, after, said):
            return Verdict.DENIED
        verdict = self._constraints(name, after, key)
        return Verdict.DANGLING if self._leaves(name, row, after) else verdict

    def removal(self, name: str, key: Key, said: Said) -> Verdict:
        """Say what becomes of a row that is deleted."""
        row = self.rows[name][key]
        if "DELETE" not in self.rights[name]:
            return Verdict.DENIED
        if not (self.shows(name, row, said) and self.opens(name, row, said)):
            return Verdict.UNSEEN
        gone = self._falling(name, key)
        kept = any(
            reference.ondelete not in {"CASCADE", "SET NULL"} and (child, other) not in gone
            for table, old in gone
            for child, other, reference in self._children(table, self.rows[table][old])
        )
        return Verdict.DANGLING if kept else Verdict.DONE

    def _constraints(self, name: str, row: Row, but: Key | None) -> Verdict:
        shape = self.shapes[name]
        for unique in shape.uniques:
            value = tuple(row[column] for column in unique)
            for key, other in self.rows[name].items():
                if key != but and None not in value and _has(other, unique, value):
                    return Verdict.TAKEN
        for reference in shape.references:
            target = reference.target(row)
            if target is not None and not self.parents(reference, target):
                own = reference.parent == name and _has(row, reference.referred, target)
                if not own:
                    return Verdict.DANGLING
        return Verdict.DONE

    def parents(self, reference: Reference, target: Key) -> list[Row]:
        """Return the row that a foreign key points at."""
        rows = self.rows[reference.parent].values()
        return [row for row in rows if _has(row, reference.referred, target)]

    def _children(self, name: str, row: Row) -> Iterator[tuple[str, Key, Reference]]:
        for child, shape in self.shapes.items():
            for reference in shape.references:
                if reference.parent != name:
                    continue
                target = tuple(row[column] for column in reference.referred)
                for key, other in self.rows[child].items():
                    if reference.target(other) == target:
                        yield child, key, reference

    def _leaves(self, name: str, row: Row, after: Row) -> bool:
        """Say whether a change takes the row away from under others."""
        return any(
            not reference.cascades and any(row[c] != after[c] for c in reference.referred)
            for _, _, reference in self._children(name, row)
        )

    def _falling(self, name: str, key: Key) -> set[tuple[str, Key]]:
        gone, todo = set[tuple[str, Key]](), [(name, key)]
        while todo:
            table, old = todo.pop()
            if (table, old) in gone:
                continue
            gone.add((table, old))
            todo += [
                (child, other)
                for child, other, reference in self._children(table, self.rows[table][old])
                if reference.ondelete == "CASCADE"
            ]
        return gone

    # -- what was done --------------------------------------------------------------------------

    def insert(self, name: str, row: Row) -> None:
        """Keep a row."""
        self.rows[name][self.shapes[name].key_of(row)] = row

    def update(self, name: str, key: Key, values: Row) -> None:
        """Change a row, and what follows it (ON UPDATE CASCADE)."""
        row = self.rows[name][key]
        after = {**row, **values}
        for child, other, reference in [*self._children(name, row)]:
            told = dict(zip(reference.columns, (after[c] for c in reference.referred), strict=True))
            if reference.cascades and any(self.rows[child][other][c] != told[c] for c in told):
                self.update(child, other, told)
        del self.rows[name][key]
        self.insert(name, after)

    def delete(self, name: str, key: Key) -> None:
        """Forget a row, and what goes with it.

        Level by level, as the server's triggers run: what was emptied by the first level refers
        to nothing when the second one goes.
        """
        gone, level = self._falling(name, key), [(name, key)]
        while level:
            below = list[tuple[str, Key]]()
            for table, old in level:
                for child, other, reference in [*self._children(table, self.rows[table][old])]:
                    if reference.ondelete == "CASCADE":
                        below.append((child, other))
                    elif (child, other) not in gone:
                        emptied = dict.fromkeys(reference.nulled)
                        self.rows[child][other] = {**self.rows[child][other], **emptied}
            for table, old in level:
                del self.rows[table][old]
            level = [*dict.fromkeys(x for x in below if x[1] in self.rows[x[0]])]

    def copy(self) -> dict[str, dict[Key, Row]]:
        """Return what there is, to come back to."""
        return {name: dict(rows) for name, rows in self.rows.items()}


def _has(row: Row, columns: tuple[str, ...], value: Key) -> bool:
    return tuple(row[column] for column in columns) == value
