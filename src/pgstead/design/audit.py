"""How a stead is audited: whose statements are logged, and which tables keep a history (AUD-1)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import resources as packaged
from types import MappingProxyType

from pgstead.design.names import BACKUP, LOOKUP, MONITOR, SUPERUSER
from pgstead.manifest.document import DatabaseEntry, Manifest
from pgstead.model.address import Resource
from pgstead.model.audit import HISTORY_SCHEMA, AuditPlan, HistoryPlan
from pgstead.model.design import Environment
from pgstead.model.host import ServerBuild
from pgstead.model.layout import Layout
from pgstead.model.resources import ChangeHistory, RoleSetting, Schema

PGAUDIT = "pgaudit"
# misc_set: SET ROLE is one, and tells who became whom
_CLASSES: Mapping[str, str] = MappingProxyType({
    "all": "read, write, function, ddl, role, misc_set",
    "writes": "write, function, ddl, role, misc_set",
})  # fmt: skip
_LEVELS: Mapping[str, str] = MappingProxyType({"all": "all", "writes": "mod"})


def wanted(manifest: Manifest) -> bool:
    """Say whether the stead is audited: AUD-1 binds where real data is."""
    if manifest.audit.enabled is not None:
        return manifest.audit.enabled
    return manifest.environment in (Environment.STAGING, Environment.PRODUCTION)


def plan(manifest: Manifest, build: ServerBuild, layout: Layout) -> AuditPlan | None:
    """Return how the stead is audited, None where it is not."""
    if not wanted(manifest):
        return None
    told = manifest.audit
    pgaudit = PGAUDIT in build.modules
    histories = [_history(entry, pgaudit=pgaudit) for entry in manifest.databases]
    return AuditPlan(
        directory=str(layout.audit),
        interval=told.interval,
        retention=told.retention,
        pgaudit=tuple(_roles(manifest)) if pgaudit else (),
        own=(SUPERUSER, MONITOR, BACKUP, LOOKUP),
        server_log=str(layout.server_log),
        pooler_log=str(layout.pooler / "pgbouncer.log") if manifest.pooler.enabled else "",
        journal=str(layout.journal),
        histories=tuple(h for h in histories if h.tables),
    )


def _history(entry: DatabaseEntry, *, pgaudit: bool) -> HistoryPlan:
    told = entry.history
    standing = () if pgaudit else ("*",)
    return HistoryPlan(
        database=entry.name,
        tables=standing if told.tables is None else told.tables,
        excluded=told.exclude,
        values=told.values,
        masked=told.mask,
        retention=told.retention,
    )


def _roles(manifest: Manifest) -> Iterator[str]:
    for entry in manifest.databases:
        yield from (entry.app, entry.admin, entry.readonly, entry.migrator)


def resources(manifest: Manifest, found: AuditPlan) -> Iterator[Resource]:
    """Yield what the trail rests on: settings of roles, and the histories."""
    told = manifest.audit
    for entry in manifest.databases:
        yield from _settings(entry.app, told.application, found)
        for role in (entry.admin, entry.readonly, entry.migrator):
            yield from _settings(role, told.people, found)
    folder = packaged.files("pgstead.design") / "sql"
    rows = (folder / "record_change.sql").read_text("utf-8").strip()
    statements = (folder / "record_changes.sql").read_text("utf-8").strip()
    for history in found.histories:
        yield Schema(history.database, HISTORY_SCHEMA, SUPERUSER)
        yield ChangeHistory(history.database, rows, statements)


def _settings(role: str, level: str, found: AuditPlan) -> Iterator[RoleSetting]:
    if level not in _LEVELS:
        return  # log_statement = ddl is everybody's
    if found.pgaudit:
        yield RoleSetting(role, "", "pgaudit.log", _CLASSES[level])
        yield RoleSetting(role, "", "pgaudit.log_catalog", "off")
        return
    yield RoleSetting(role, "", "log_statement", _LEVELS[level])
