"""The plugin of Alembic's autogenerate for row-level security: created, compared, dropped.

Conditions are compared as the server writes them back, for the models' text and the catalog's
never agree in spelling: the models' policies are made on an empty temporary table with the
columns of the real one, read, and rolled back. So `(a OR b) AND c` differs from
`a OR (b AND c)`, and a cast that the server adds is no difference.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from alembic.autogenerate.api import AutogenContext
from alembic.operations.ops import MigrateOperation, UpgradeOps
from alembic.runtime.plugins import Plugin
from alembic.util import DispatchPriority, PriorityDispatchResult
from sqlalchemy import Connection, MetaData, Table, text
from sqlalchemy.exc import ProgrammingError

from pgstead.app import policies, policy_operations, tenancy
from pgstead.app.policies import Names, Policy
from pgstead.app.policy_operations import CreatePolicyOp, DropPolicyOp, SetRowSecurityOp

PLUGIN = "pgstead.row_security"

_log = logging.getLogger("alembic.pgstead")

_SWITCHES = text(
    """
    SELECT n.nspname::text, c.relname::text, c.relrowsecurity, c.relforcerowsecurity
    FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition
      AND n.nspname = ANY (:schemas)
    """
)
_POLICIES = """
    SELECT n.nspname::text AS schema, c.relname::text AS table, p.polname::text AS name,
           CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE'
                         WHEN 'd' THEN 'DELETE' ELSE 'ALL' END AS command,
           p.polpermissive AS permissive,
           ARRAY(SELECT r.rolname::text FROM pg_catalog.pg_roles AS r
                 WHERE r.oid = ANY (p.polroles) ORDER BY 1) AS roles,
           pg_get_expr(p.polqual, p.polrelid) AS using,
           pg_get_expr(p.polwithcheck, p.polrelid) AS check
    FROM pg_catalog.pg_policy AS p JOIN pg_catalog.pg_class AS c ON c.oid = p.polrelid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
"""
_OF_SCHEMAS = text(f"{_POLICIES} WHERE n.nspname = ANY (:schemas) ORDER BY 1, 2, 3")
_OF_SPECIMEN = text(f"{_POLICIES} WHERE c.oid = 'pg_temp.pgstead_specimen'::regclass ORDER BY 3")

Key = tuple[str | None, str]  # schema (None: the default one), table


@dataclass(frozen=True, slots=True)
class _Found:
    """What the database has."""

    switches: dict[Key, tuple[bool, bool]]
    policies: dict[Key, dict[str, Policy]]


def setup(plugin: Plugin) -> None:
    """Register the comparison; Alembic calls this."""
    # last: a policy may look up in any table, so all of them are there by then
    plugin.add_autogenerate_comparator(
        _compare,
        "schema",
        qualifier="postgresql",
        priority=DispatchPriority.LAST,
    )


def _compare(
    context: AutogenContext, upgrade: UpgradeOps, schemas: Iterable[str | None]
) -> PriorityDispatchResult:
    connection, metadata = context.connection, context.metadata
    assert connection is not None
    assert isinstance(metadata, MetaData)
    assert context.migration_context is not None
    names: Names = context.migration_context.opts.get(policy_operations.ROLES) or {}
    default = str(connection.dialect.default_schema_name)
    found = _look(connection, {schema or default for schema in schemas}, default)
    wanted = {
        (_schema(table, default), table.name): (table, security)
        for table, security in tenancy.scoped_tables(metadata)
    }
    dropped: list[MigrateOperation] = []
    made: list[MigrateOperation] = []
    for key in sorted({*found.switches, *wanted}, key=lambda key: (key[0] or "", key[1])):
        if not context.run_name_filters(key[1], "table", {"schema_name": key[0]}):
            continue
        there = found.switches.get(key)
        policies_there = found.policies.get(key, {})
        asked = _wanted(connection, wanted.get(key), names, exists=there is not None)
        differences = _Differences(key, there, policies_there, asked, names)
        dropped += differences.dropped()
        made += differences.made()
    # dropped before tables and columns are, made when all of them are there
    upgrade.ops[:0] = dropped
    upgrade.ops.extend(made)
    return PriorityDispatchResult.CONTINUE


@dataclass(frozen=True, slots=True)
class _Asked:
    """A policy of the models, and how the server writes it (None: it cannot be written yet)."""

    policy: Policy
    written: Policy | None


@dataclass(frozen=True, slots=True)
class _Differences:
    """One table, compared."""

    key: Key
    there: tuple[bool, bool] | None  # None: there is no such table yet
    found: Mapping[str, Policy]
    asked: Mapping[str, _Asked]
    names: Names

    def dropped(self) -> Iterator[MigrateOperation]:
        """Yield what goes: policies that nobody declares any more, or that say something else."""
        for name, policy in self.found.items():
            if name not in self.asked or self.asked[name].written != policy:
                _log.info("detected removed or changed policy %s of %s", name, self.key[1])
                yield DropPolicyOp(policy_operations.portable(policy, self.names))
        if not self.asked and self.there is not None and any(self.there):
            _log.info("detected row-level security of %s that no model declares", self.key[1])
            yield self._switch((False, False))

    def made(self) -> Iterator[MigrateOperation]:
        """Yield what comes."""
        if self.asked and self.there != (True, True):
            _log.info("detected row-level security of %s to be switched on", self.key[1])
            yield self._switch((True, True))
        for name, asked in self.asked.items():
            if asked.written is None or self.found.get(name) != asked.written:
                _log.info("detected added or changed policy %s of %s", name, self.key[1])
                yield CreatePolicyOp(asked.policy)

    def _switch(self, now: tuple[bool, bool]) -> SetRowSecurityOp:
        before = self.there or (False, False)
        return SetRowSecurityOp(self.key[1], now=now, before=before, schema=self.key[0])


def _wanted(
    connection: Connection,
    declaration: tuple[Table, tenancy.RowSecurity] | None,
    names: Names,
    *,
    exists: bool,
) -> dict[str, _Asked]:
    if declaration is None:
        return {}
    table, security = declaration
    asked = list(security.policies(table))
    written = _written(connection, table, [p.called(names) for p in asked]) if exists else {}
    return {policy.name: _Asked(policy, written.get(policy.name)) for policy in asked}


def _written(connection: Connection, table: Table, asked: list[Policy]) -> dict[str, Policy]:
    """Return policies as the server writes them back; those that it cannot make are left out."""
    specimen = "pgstead_specimen"
    schema = _schema(table, str(connection.dialect.default_schema_name))
    with connection.begin_nested() as undone:
        make = (
            f"CREATE TEMPORARY TABLE {specimen} (LIKE {policies.quoted(table.name, table.schema)})"
        )
        connection.execute(policy_operations.exactly(make))
        for policy in asked:
            _try(connection, replace(policy, table=specimen, schema="pg_temp"))
        rows = connection.execute(_OF_SPECIMEN)
        found = [replace(_policy(row, ""), table=table.name, schema=schema) for row in rows]
        undone.rollback()
    return {policy.name: policy for policy in found}


def _try(connection: Connection, policy: Policy) -> None:
    """Make a policy, unless it names a column, a table or a role that is not there yet."""
    try:
        with connection.begin_nested():
            connection.execute(policy_operations.exactly(policies.create(policy)))
    except ProgrammingError as error:
        state = getattr(error.orig, "sqlstate", "")
        if state not in policy_operations.NOT_THERE_YET:
            raise


def _look(connection: Connection, schemas: set[str], default: str) -> _Found:
    asked = {"schemas": sorted(schemas)}
    switches = {
        (_none(schema, default), str(name)): (bool(enabled), bool(forced))
        for schema, name, enabled, forced in connection.execute(_SWITCHES, asked)
    }
    found: dict[Key, dict[str, Policy]] = {}
    for row in connection.execute(_OF_SCHEMAS, asked):
        policy = _policy(row, default)
        found.setdefault((policy.schema, policy.table), {})[policy.name] = policy
    return _Found(switches, found)


def _policy(row: Any, default: str) -> Policy:
    return Policy(
        name=row.name,
        table=row.table,
        schema=_none(row.schema, default),
        command=row.command,
        permissive=row.permissive,
        roles=tuple(sorted(row.roles)),
        using=row.using,
        check=row.check,
    )


def _none(schema: str, default: str) -> str | None:
    return None if schema == default else schema


def _schema(table: Table, default: str) -> str | None:
    return None if table.schema in (None, default) else table.schema


# Alembic's own door for plugins is an import like this one (or an entry point).
Plugin.setup_plugin_from_module(sys.modules[__name__], PLUGIN)
