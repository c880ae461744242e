"""Row-level security as statements: policies, switches, and the form that keeps an index usable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeGuard

from sqlalchemy.dialects import postgresql

from pgstead.errors import UsageError

Names = Mapping[str, str]  # what a role is for -> what it is called here

COMMANDS = ("ALL", "SELECT", "INSERT", "UPDATE", "DELETE")


class PolicyError(UsageError):
    """A declaration of row-level security that cannot be meant."""

    code = "row-security"


@dataclass(frozen=True, slots=True)
class Policy:
    """One policy of one table. `using` and `check` are SQL of whoever wrote the migration."""

    name: str
    table: str
    schema: str | None = None
    command: str = "ALL"
    permissive: bool = True
    roles: tuple[str, ...] = ()  # what they are for (app, admin), or names; none is PUBLIC
    using: str | None = None
    check: str | None = None

    def __post_init__(self) -> None:
        """Refuse what PostgreSQL would take for something else, or not at all."""
        if self.command not in COMMANDS:
            raise PolicyError(
                f"the policy {self.name} is for {self.command!r}", hint=", ".join(COMMANDS)
            )
        if self.using is None and self.check is None:
            raise PolicyError(
                f"the policy {self.name} has neither USING nor WITH CHECK",
                hint="give the rows that are visible (using) and those that may be written (check)",
            )

    def called(self, names: Names) -> Policy:
        """Return the policy with its roles as they are called in a database."""
        return replace(self, roles=tuple(sorted(names.get(role, role) for role in self.roles)))


def quoted(name: str, schema: str | None = None) -> str:
    """Return an identifier as a statement may hold it."""
    # "named": the style of our drivers doubles every `%`, which the statement does once more
    quote = postgresql.dialect(paramstyle="named").identifier_preparer.quote
    return f"{quote(schema)}.{quote(name)}" if schema else quote(name)


def literal(text: str) -> str:
    """Return a text as a statement may hold it."""
    doubled = text.replace("'", "''")
    return f"E'{doubled.replace(chr(92), chr(92) * 2)}'" if "\\" in text else f"'{doubled}'"


def create(policy: Policy) -> str:
    """Return CREATE POLICY; the roles are names by now."""
    kind = "PERMISSIVE" if policy.permissive else "RESTRICTIVE"
    roles = ", ".join(quoted(role) for role in policy.roles) or "PUBLIC"
    using = f" USING ({policy.using})" if policy.using is not None else ""
    check = f" WITH CHECK ({policy.check})" if policy.check is not None else ""
    return (
        f"CREATE POLICY {quoted(policy.name)} ON {quoted(policy.table, policy.schema)}"
        f" AS {kind} FOR {policy.command} TO {roles}{using}{check}"
    )


def drop(policy: Policy) -> str:
    """Return DROP POLICY."""
    return f"DROP POLICY {quoted(policy.name)} ON {quoted(policy.table, policy.schema)}"


def switch(table: str, schema: str | None, *, enabled: bool, forced: bool) -> str:
    """Return the ALTER TABLE that enables and forces row-level security, or does not."""
    first = "ENABLE" if enabled else "DISABLE"
    second = "FORCE" if forced else "NO FORCE"
    return (
        f"ALTER TABLE {quoted(table, schema)} {first} ROW LEVEL SECURITY,"
        f" {second} ROW LEVEL SECURITY"
    )


def cast_of(kind: Any) -> str:
    """Return the cast from text that a column's type needs; a text column needs none."""
    compiled = str(kind.compile(dialect=postgresql.dialect())).lower()
    if compiled == "text" or compiled.startswith(("varchar", "char")):
        return ""
    return f"::{compiled}"


def scope_of(setting: str, cast: str) -> str:
    """Return the value of a setting: null where it is unset or empty, so that nothing matches.

    The sub-select is what counts: it runs once per statement (an InitPlan) and its result goes
    into an index condition; a bare `current_setting()` is called for each row.
    """
    return f"(SELECT NULLIF(current_setting({literal(setting)}, true), ''){cast})"


def is_identifier(text: object) -> TypeGuard[str]:
    """Say whether something can name a column or a table."""
    return isinstance(text, str) and 0 < len(text.encode()) < 64 and "\x00" not in text
