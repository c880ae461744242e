"""What models declare of row-level security, and what the catalog has of it.

The declaration lies in `table.info["pgstead.row_security"]`; it is read here, by the names of its
attributes, and not imported: the witness trusts no code that makes policies.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from pgstead.model.design import DatabasePlan
from pgstead.prove import models
from pgstead.prove.witness import Witness

INFO = "pgstead.row_security"

STATE = """
SELECT c.relname::text, c.relrowsecurity, c.relforcerowsecurity
FROM pg_catalog.pg_class AS c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
ORDER BY 1
"""

POLICIES = """
SELECT c.relname::text, p.polname::text,
       CASE WHEN p.polpermissive THEN 'permissive' ELSE 'restrictive' END,
       CASE p.polcmd WHEN '*' THEN 'ALL' WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT'
                     WHEN 'w' THEN 'UPDATE' ELSE 'DELETE' END,
       CASE WHEN 0 = ANY (p.polroles) THEN 'PUBLIC' ELSE
            (SELECT string_agg(r.rolname::text, ', ' ORDER BY r.rolname)
             FROM pg_catalog.pg_roles AS r WHERE r.oid = ANY (p.polroles)) END
FROM pg_catalog.pg_policy AS p JOIN pg_catalog.pg_class AS c ON c.oid = p.polrelid
WHERE c.relnamespace = 'public'::regnamespace ORDER BY 1, 2
"""


@dataclass(frozen=True, slots=True)
class Rule:
    """A row is whose column equals a setting, or is among the keys that a table has for it."""

    column: str
    setting: str
    table: str
    key: str
    member: str


@dataclass(frozen=True, slots=True)
class Declaration:
    """One table of the models: whose rows they are, and the policies that say so."""

    table: str
    rules: tuple[Rule, ...]
    policies: frozenset[tuple[str, ...]]


def declared(plan: DatabasePlan, directory: PurePosixPath) -> tuple[Declaration, ...]:
    """Return what the models of a database declare; none where there are no models."""
    if not plan.models:
        return ()
    metadata = models.metadata_of(plan.models, directory)
    found: list[Declaration] = []
    for table in metadata.sorted_tables:
        said: Any = table.info.get(INFO)
        if said is not None:
            # what has to be so for a row to be written comes first: rows are made by it
            rules = tuple(_rule(rule) for rule in (*said.written, *said.rules))
            policies = frozenset(_policy(policy, plan) for policy in said.policies(table))
            found.append(Declaration(table.name, rules, policies))
    return tuple(found)


def rules_by_table(w: Witness, plan: DatabasePlan) -> dict[str, tuple[Rule, ...]]:
    """Return the rules of each table that has some."""
    return {d.table: d.rules for d in declared(plan, w.design.layout.manifest_directory)}


def settings_of(rules: Iterable[Rule]) -> tuple[str, ...]:
    """Return the settings that rules compare with."""
    return tuple(dict.fromkeys(rule.setting for rule in rules))


def _rule(said: Any) -> Rule:
    return Rule(said.column, said.setting, said.table, said.key, said.member)


def _policy(said: Any, plan: DatabasePlan) -> tuple[str, ...]:
    names: dict[str, str] = {"app": plan.app, "admin": plan.admin, "readonly": plan.readonly}
    roles = sorted(names.get(str(role), str(role)) for role in said.roles)
    kind = "permissive" if said.permissive else "restrictive"
    return (said.table, said.name, kind, said.command, ", ".join(roles) or "PUBLIC")
