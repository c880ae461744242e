"""What a rule is shown: one statement, what is around it, and what is known of the target."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from pgstead.lint.schema import Schema, Table
from pgstead.lint.tree import Node, dotted, listed, relation
from pgstead.model.revision import RevisionScript, Statement, TableSize


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the caller knows of the database that the revisions are meant for."""

    major: int = 18
    sizes: Mapping[str, TableSize] | None = None  # None: not looked at; a missing table is empty
    mapped: Mapping[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])
    drivers: frozenset[str] = frozenset({"asyncpg"})
    roles: Mapping[str, str] = field(default_factory=dict[str, str])  # purpose -> name
    tenant_columns: frozenset[str] = frozenset({"tenant_id"})

    def purposes(self, names: tuple[str, ...]) -> set[str]:
        """Return what some roles are for; a role that is not known stays itself."""
        known = {name: purpose for purpose, name in self.roles.items()}
        return {known.get(name, name) for name in names}


@dataclass(frozen=True, slots=True)
class Step:
    """One statement of a revision with its tree."""

    statement: Statement
    text: str
    node: Node
    block: int  # steps of one number run in one transaction; each outside has a number of its own
    number: int  # its place in the revision

    @property
    def kind(self) -> str:
        """The kind of statement."""
        return self.node.kind

    @property
    def transactional(self) -> bool:
        """It runs inside of the revision's transaction."""
        return self.statement.transactional

    @property
    def staged(self) -> bool:
        """A helper of `pgstead.app.staged` asked for it."""
        return self.statement.staged

    @property
    def table(self) -> str:
        """The table that an ALTER TABLE changes; empty for every other statement."""
        if self.kind != "AlterTableStmt" or self.node.word("objtype") != "OBJECT_TABLE":
            return ""
        return relation(self.node.one("relation"))

    def alterations(self) -> Iterator[tuple[str, Node]]:
        """Yield the parts of an ALTER TABLE: (`AT_AddColumn`, node)."""
        if self.table:
            yield from ((c.word("subtype"), c) for c in self.node.all("cmds"))

    def added_columns(self) -> Iterator[Node]:
        """Yield the columns (ColumnDef) that an ALTER TABLE adds."""
        for what, part in self.alterations():
            definition = part.one("def")
            if what == "AT_AddColumn" and definition is not None:
                yield definition

    def added_constraints(self) -> Iterator[Node]:
        """Yield the constraints that an ALTER TABLE adds, those of new columns included."""
        for what, part in self.alterations():
            definition = part.one("def")
            if what == "AT_AddConstraint" and definition is not None:
                yield definition
        for column in self.added_columns():
            yield from column.all("constraints")


@dataclass(frozen=True, slots=True)
class Scene:
    """A revision while it is read: the schema is as it is before the statement."""

    revision: RevisionScript
    steps: tuple[Step, ...]  # all of the revision
    schema: Schema
    around: Surroundings

    @property
    def made(self) -> frozenset[str]:
        """The tables that this revision has made so far."""
        tables = self.schema.tables.values()
        return frozenset(t.name for t in tables if t.revision == self.revision.name)

    def new(self, table: str) -> bool:
        """Say whether this revision itself made the table: nobody uses it yet."""
        found = self.schema.table(table)
        return found is not None and found.revision == self.revision.name

    def old(self, table: str) -> bool:
        """Say whether the table was there before: others may be using it."""
        return bool(table) and not self.new(table)

    def dropped(self, table: str, step: Step) -> bool:
        """Say whether a table is dropped by what comes after a statement."""
        return any(
            later.kind == "DropStmt"
            and table in {dotted(listed(o)) for o in later.node.all("objects")}
            for later in self.after(step)
        )

    def before(self, step: Step) -> tuple[Step, ...]:
        """Return the statements of the revision that come before one."""
        return self.steps[: step.number]

    def after(self, step: Step) -> tuple[Step, ...]:
        """Return the statements of the revision that come after one."""
        return self.steps[step.number + 1 :]


@dataclass(frozen=True, slots=True)
class Ending:
    """The schema when every revision has run, for what a later revision may still have mended."""

    schema: Schema
    around: Surroundings
    revisions: Mapping[str, RevisionScript]  # those that are judged

    def tables(self) -> Iterator[Table]:
        """Yield the tables that the judged revisions made."""
        return (t for t in self.schema.tables.values() if t.revision in self.revisions)

    def is_tenants(self, table: Table) -> str:
        """Return the column that tells tenants apart, if the table has one."""
        return next((c for c in table.columns if c in self.around.tenant_columns), "")
