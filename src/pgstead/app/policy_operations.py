"""Alembic's operations for row-level security, each with its reverse; for use in revisions.

    set_row_security("projects", enabled=True, forced=True)
    create_policy("p", "projects", using="...", check="...", roles=["app"])
    drop_policy("p", "projects")

Roles are given by what they are for (`app`, `admin`, `readonly`) and get their names when the
migration runs, so that one migration fits every place; any other word is taken for a name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from alembic import op
from alembic.autogenerate.api import AutogenContext
from alembic.autogenerate.render import renderers
from alembic.operations import MigrateOperation, Operations
from sqlalchemy import TextClause, text

from pgstead.app import policies
from pgstead.app.policies import Names, Policy, PolicyError

ROLES = "pgstead_roles"  # the option of Alembic's context that holds the names

# what a specimen cannot be made of: undefined column, table, function, object (a role), schema
NOT_THERE_YET = frozenset({"42703", "42P01", "42883", "42704", "3F000"})

_PURPOSES = ("app", "admin", "readonly", "migrator")


class SetRowSecurityOp(MigrateOperation):
    """Switch a table's row-level security."""

    def __init__(
        self,
        table: str,
        *,
        now: tuple[bool, bool],
        before: tuple[bool, bool] = (False, False),
        schema: str | None = None,
    ) -> None:
        """`now` and `before` are (enabled, forced)."""
        self.table = table
        self.now = now
        self.before = before
        self.schema = schema

    def reverse(self) -> SetRowSecurityOp:
        """Return what leads back."""
        return SetRowSecurityOp(self.table, now=self.before, before=self.now, schema=self.schema)

    def to_diff_tuple(self) -> tuple[Any, ...]:
        """Return what `alembic check` prints."""
        enabled, forced = self.now
        return ("set_row_security", self.table, {"enabled": enabled, "forced": forced})


class _PolicyOp(MigrateOperation):
    """An operation on a policy, which it carries whole so that it can be reversed."""

    word = ""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy

    def to_diff_tuple(self) -> tuple[Any, ...]:
        """Return what `alembic check` prints."""
        return (self.word, self.policy.table, self.policy.name)


class CreatePolicyOp(_PolicyOp):
    """Create a policy."""

    word = "create_policy"

    def reverse(self) -> DropPolicyOp:
        """Return what leads back."""
        return DropPolicyOp(self.policy)


class DropPolicyOp(_PolicyOp):
    """Drop a policy; what it was is told, so that the way back is known."""

    word = "drop_policy"

    def reverse(self) -> CreatePolicyOp:
        """Return what leads back."""
        return CreatePolicyOp(self.policy)


def set_row_security(table: str, *, enabled: bool, forced: bool, schema: str | None = None) -> None:
    """Enable row-level security of a table or not, force it on its owner or not."""
    op.invoke(SetRowSecurityOp(table, now=(enabled, forced), schema=schema))


def create_policy(
    name: str,
    table: str,
    *,
    using: str | None = None,
    check: str | None = None,
    roles: Sequence[str] = (),
    command: str = "ALL",
    permissive: bool = True,
    schema: str | None = None,
) -> None:
    """Create a policy; without roles it is for PUBLIC."""
    policy = Policy(name, table, schema, command, permissive, tuple(roles), using, check)
    op.invoke(CreatePolicyOp(policy))


def drop_policy(name: str, table: str, *, schema: str | None = None) -> None:
    """Drop a policy."""
    op.invoke(DropPolicyOp(Policy(name, table, schema, using="true")))


@Operations.implementation_for(SetRowSecurityOp)
def _switch(operations: Operations, operation: SetRowSecurityOp) -> None:
    enabled, forced = operation.now
    statement = policies.switch(operation.table, operation.schema, enabled=enabled, forced=forced)
    operations.execute(exactly(statement))


@Operations.implementation_for(CreatePolicyOp)
def _create(operations: Operations, operation: CreatePolicyOp) -> None:
    names: Names = operations.migration_context.opts.get(ROLES) or {}
    unknown = [r for r in operation.policy.roles if r in _PURPOSES and r not in names]
    if unknown:
        raise PolicyError(
            f"it is not known what the role for {unknown[0]!r} is called here",
            hint="name a connection file in PGSTEAD_CONNECTION, or grant it its privileges on"
            " tables to come (ALTER DEFAULT PRIVILEGES FOR ROLE owner IN SCHEMA public ...)",
        )
    operations.execute(exactly(policies.create(operation.policy.called(names))))


@Operations.implementation_for(DropPolicyOp)
def _drop(operations: Operations, operation: DropPolicyOp) -> None:
    operations.execute(exactly(policies.drop(operation.policy)))


def exactly(statement: str) -> TextClause:
    """Return a statement in which SQLAlchemy takes no `:word` for a parameter."""
    return text(statement.replace(":", "\\:"))


@renderers.dispatch_for(SetRowSecurityOp)
def _render_switch(context: AutogenContext, operation: SetRowSecurityOp) -> str:
    enabled, forced = operation.now
    return _call(
        context,
        "set_row_security",
        [repr(operation.table)],
        {"enabled": enabled, "forced": forced},
        operation.schema,
    )


@renderers.dispatch_for(CreatePolicyOp)
def _render_create(context: AutogenContext, operation: CreatePolicyOp) -> str:
    policy = operation.policy
    more: dict[str, Any] = {"roles": list(policy.roles)}
    if policy.command != "ALL":
        more["command"] = policy.command
    if not policy.permissive:
        more["permissive"] = False
    more |= {"using": policy.using, "check": policy.check}
    return _call(
        context, "create_policy", [repr(policy.name), repr(policy.table)], more, policy.schema
    )


@renderers.dispatch_for(DropPolicyOp)
def _render_drop(context: AutogenContext, operation: DropPolicyOp) -> str:
    policy = operation.policy
    return _call(context, "drop_policy", [repr(policy.name), repr(policy.table)], {}, policy.schema)


def _call(
    context: AutogenContext, name: str, first: list[str], more: dict[str, Any], schema: str | None
) -> str:
    context.imports.add(f"from {__name__} import {name}")
    if schema:
        more = {**more, "schema": schema}
    told = [*first, *(f"{key}={value!r}" for key, value in more.items() if value is not None)]
    return f"{name}(\n    " + ",\n    ".join(told) + ",\n)"


def portable(policy: Policy, names: Names) -> Policy:
    """Return a policy of a database with its roles by what they are for."""
    purposes = {name: purpose for purpose, name in names.items() if purpose in _PURPOSES}
    return replace(policy, roles=tuple(purposes.get(role, role) for role in policy.roles))
