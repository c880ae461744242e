"""Row-level security, declared where the table is.

    class Document(TenantScoped, Base):                      # by tenant_id
        __tablename__ = "documents"
        id: Mapped[uuid.UUID] = mapped_column(primary_key=True)

    class Project(Base):                                     # by its owner
        __tablename__ = "projects"
        __table_args__ = (RowSecurity.by_user("created_by"),)

    class Export(Base):                                      # by what it belongs to
        __tablename__ = "exports"
        __table_args__ = (RowSecurity.by_lookup("project_id", "projects", key="id",
                                                user="created_by"),)

A declaration is kept in `table.info["pgstead.row_security"]`. Alembic makes, compares and drops
the policies (`pgstead.app.policy_migrations`). Each table gets three:

* `tenant_isolation_policy` lets the roles at what is theirs;
* `tenant_isolation_policy_floor` says the same and is RESTRICTIVE: a permissive policy that
  somebody adds cannot widen what they see. The planner sees one condition, for both are equal;
* `tenant_isolation_policy_admin` lets the administrator at everything: under FORCE nobody gets
  past policies by owning the table (TEN-7).

What may be read and what may be written differ where a declaration says `.showing(...)` (a policy
of its own, `tenant_isolation_policy_shown`, for SELECT alone) or `.writing(...)` (WITH CHECK).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import (
    ForeignKeyConstraint,
    Index,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.schema import SchemaItem
from sqlalchemy.sql.base import SchemaEventTarget

from pgstead.app.policies import Policy, PolicyError, cast_of, is_identifier, quoted, scope_of

INFO: Final = "pgstead.row_security"
POLICY: Final = "tenant_isolation_policy"
TENANT: Final = "app.current_tenant_id"
USER: Final = "app.current_user_id"


@dataclass(frozen=True, slots=True)
class Rule:
    """Rows whose column equals a setting, or is among the keys that a lookup finds for it."""

    column: str
    setting: str
    table: str = ""  # where the keys are looked up; empty: the column itself is compared
    key: str = ""
    member: str = ""  # the column of `table` that is compared with the setting
    flag: str = ""  # a column of `table` that has to be true: a membership may be switched off
    or_null: bool = False  # a row that names nobody passes too

    def __post_init__(self) -> None:
        """Refuse names that are none."""
        asked = (self.column, *((self.table, self.key, self.member) if self.table else ()))
        asked = (*asked, *([self.flag] if self.flag else ()))
        if not all(is_identifier(name) for name in asked):
            raise PolicyError(
                f"row security by {self.column!r} does not name its columns",
                hint="name the column, and for a lookup its table, key and user column",
            )

    def predicate(self, table: Table) -> str:
        """Return the condition, in the form that keeps the column's index usable."""
        condition = self._condition(table)
        return f"{quoted(self.column)} IS NULL OR {condition}" if self.or_null else condition

    def _condition(self, table: Table) -> str:
        column = _column(table, self.column)
        if not self.table:
            return f"{quoted(self.column)} = {scope_of(self.setting, cast_of(column.type))}"
        schema, _, name = self.table.rpartition(".")
        other = table.metadata.tables.get(self.table)
        kind = column.type if other is None else _column(other, self.member).type
        scope = scope_of(self.setting, cast_of(kind))
        # an array from a sub-select is computed once; `IN (SELECT ...)` would lose the index
        keys = f"SELECT {quoted(self.key)} FROM {quoted(name, schema or None)}"  # noqa: S608
        only = f" AND {quoted(self.flag)}" if self.flag else ""
        return (
            f"{quoted(self.column)} ="
            f" ANY (ARRAY({keys} WHERE {quoted(self.member)} = {scope}{only}))"
        )


@dataclass(frozen=True)
class RowSecurity(SchemaItem):
    """A table argument: whose rows these are. Several rules are alternatives."""

    rules: tuple[Rule, ...]
    to: tuple[str, ...] = ("app", "readonly")  # what the roles are for, or their names
    admins: tuple[str, ...] = ("admin",)  # see and write all rows; none is possible
    shown: tuple[Rule, ...] = ()  # rows that are read besides, and never written
    written: tuple[Rule, ...] = ()  # what a row has to be, all of it, to be written; none: `rules`

    __visit_name__ = "row_security"

    def __post_init__(self) -> None:
        """Refuse a declaration that would protect nothing."""
        if not self.rules or not self.to:
            raise PolicyError(
                "row security needs a rule and a role",
                hint="RowSecurity.by_tenant(), by_user(column) or by_lookup(...)",
            )

    @classmethod
    def by_tenant(cls, column: str = "tenant_id", **more: Any) -> RowSecurity:
        """Rows whose column is the current tenant."""
        return cls((Rule(column, TENANT),), **more)

    @classmethod
    def by_user(cls, column: str, **more: Any) -> RowSecurity:
        """Rows whose column is the current user."""
        return cls((Rule(column, USER),), **more)

    @classmethod
    def by_lookup(
        cls, column: str, table: str, *, key: str, user: str, flag: str = "", **more: Any
    ) -> RowSecurity:
        """Rows whose column is among the keys that a table has for the current user.

        By membership: `by_lookup("workspace_id", "workspace_members", key="workspace_id",
        user="user_id")`; by ownership: `by_lookup("project_id", "projects", key="id",
        user="created_by")`. The lookup is itself subject to the policies of its table, which
        may not look up in turn in a table that looks up here (PostgreSQL: infinite recursion).
        With `flag` only rows count whose column of that name is true.
        """
        return cls((Rule(column, USER, table, key, user, flag),), **more)

    def any_of(self, *others: RowSecurity) -> RowSecurity:
        """Return the declaration that lets through what one of them does."""
        rules = (*self.rules, *(rule for other in others for rule in other.rules))
        return replace(self, rules=rules)

    def showing(self, *rules: Rule) -> RowSecurity:
        """Return the declaration that shows rows besides, which can be read and nothing else."""
        return replace(self, shown=(*self.shown, *rules))

    def writing(self, *rules: Rule) -> RowSecurity:
        """Return the declaration that takes only rows that satisfy all of these rules.

        Seeing a row is one thing, writing it another: a member sees their own membership, and
        may not write one, or they would ask themselves in.
        """
        return replace(self, written=(*self.written, *rules))

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that say whose a row is."""
        return tuple(dict.fromkeys(rule.column for rule in self.rules))

    @property
    def settings(self) -> tuple[str, ...]:
        """The settings without which nothing is visible."""
        return tuple(dict.fromkeys(rule.setting for rule in (*self.rules, *self.shown)))

    def policies(self, table: Table) -> Iterator[Policy]:
        """Yield the policies of a table."""
        mine = _either(self.rules, table)
        check = _all(self.written, table) if self.written else mine
        floor = _either((*self.rules, *self.shown), table)

        def policy(
            ending: str, rows: str, written: str | None, *, permissive: bool = True
        ) -> Policy:
            roles = self.admins if ending == "_admin" else self.to
            command = "ALL" if written is not None else "SELECT"
            name = f"{POLICY}{ending}"
            return Policy(name, table.name, table.schema, command, permissive, roles, rows, written)

        yield policy("", mine, check)
        if self.shown:
            yield policy("_shown", _either(self.shown, table), None)
        yield policy("_floor", floor, check, permissive=False)
        if self.admins:
            yield policy("_admin", "true", "true")

    def _set_parent(self, parent: SchemaEventTarget, **_: Any) -> None:
        assert isinstance(parent, Table)
        parent.info[INFO] = self


class TenantScoped:
    """A mixin for rows of a tenant: the column, and row-level security by it.

    The column is filled from the current tenant, so that nobody has to. Another type is declared
    in the class (`tenant_id: Mapped[uuid.UUID] = mapped_column(server_default=current(...))`).
    """

    tenant_id: Mapped[str] = mapped_column(
        String(100),
        server_default=text(
            "NULLIF(current_setting('app.current_tenant_id'::text, true), ''::text)"
        ),
        comment="whose row it is; filled from app.current_tenant_id",
    )

    @classmethod
    def __table_cls__(cls, *arguments: Any, **more: Any) -> Table:
        """Make the table, with row-level security by tenant unless it declares its own."""
        if not any(isinstance(argument, RowSecurity) for argument in arguments):
            arguments = (*arguments, RowSecurity.by_tenant())
        return Table(*arguments, **more)


def declared(table: Table) -> RowSecurity | None:
    """Return what a table declares, or None."""
    found = table.info.get(INFO)
    return found if isinstance(found, RowSecurity) else None


def scoped_tables(metadata: MetaData) -> Iterator[tuple[Table, RowSecurity]]:
    """Yield the tables that declare row-level security, parents first."""
    for table in metadata.sorted_tables:
        if (found := declared(table)) is not None:
            yield table, found


def objections(metadata: MetaData) -> tuple[str, ...]:
    """Return what row-level security alone leaves open in the models, one sentence each.

    A foreign key that does not carry the tenant may point at a foreign row (the server checks
    it without policies); a unique constraint without it tells that a foreign row exists; a
    column without an index led by it makes every statement read the whole table.
    """
    return tuple(
        sentence
        for table, security in scoped_tables(metadata)
        for sentence in (*_open_keys(table, security), *_slow(table, security))
    )


def _open_keys(table: Table, security: RowSecurity) -> Iterator[str]:
    scope = set(security.columns)
    for key in sorted(table.foreign_key_constraints, key=lambda k: str(k.name)):
        parent = declared(key.referred_table)
        if parent is None or _carries(key, scope, set(parent.columns)):
            continue
        yield (
            f"{table.name}: the foreign key {key.name} may point at a row of somebody else;"
            f" lead it by {', '.join(security.columns)}"
        )
    if any(rule.setting != TENANT for rule in security.rules):
        return
    uniques = [c for c in table.constraints if isinstance(c, UniqueConstraint)]
    indexes = [i for i in table.indexes if i.unique]
    for unique in sorted([*uniques, *indexes], key=lambda u: str(u.name)):
        names = {column.name for column in unique.columns}
        if not scope & names:
            yield (
                f"{table.name}: {unique.name} tells whether a row of another tenant has the"
                f" value; lead it by {', '.join(security.columns)}"
            )


def _carries(key: ForeignKeyConstraint, scope: set[str], parents: set[str]) -> bool:
    """Say whether the child's own check, or the key's target, ties the row to its owner."""
    mine = {element.parent.name for element in key.elements}
    theirs = {element.column.name for element in key.elements}
    return bool(scope & mine) or bool(parents & theirs)


def _slow(table: Table, security: RowSecurity) -> Iterator[str]:
    leading = {next(iter(table.primary_key.columns.keys()), "")}
    for constraint in table.constraints:
        if isinstance(constraint, UniqueConstraint):
            leading.add(next(iter(constraint.columns)).name)
    for index in table.indexes:
        leading |= _first(index)
    for column in security.columns:
        if column not in leading:
            yield f"{table.name}: no index is led by {column}, so every statement reads all rows"


def _first(index: Index) -> set[str]:
    first = next(iter(index.expressions), None)
    return {str(getattr(first, "name", ""))}


def _column(table: Table, name: str) -> Any:
    try:
        return table.columns[name]
    except KeyError:
        raise PolicyError(
            f"row security of {table.name} goes by {name}, which is no column of it",
            hint=f"columns of {table.name}: {', '.join(table.columns.keys())}",
        ) from None


def _either(rules: tuple[Rule, ...], table: Table) -> str:
    return _joined(" OR ", rules, table)


def _all(rules: tuple[Rule, ...], table: Table) -> str:
    return _joined(" AND ", rules, table)


def _joined(word: str, rules: tuple[Rule, ...], table: Table) -> str:
    predicates = [rule.predicate(table) for rule in rules]
    return predicates[0] if len(predicates) == 1 else word.join(f"({p})" for p in predicates)
