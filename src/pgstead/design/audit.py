"""How a stead is audited: whose statements are logged, and which tables keep a history (AUD-1)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import resources as packaged
from types import MappingProxyType

from pgstead.design.names import AUDITOR, BACKUP, LOOKUP, MONITOR, SUPERUSER
from pgstead.manifest.document import DatabaseEntry, Manifest
from pgstead.model.address import Resource
from pgstead.model.audit import HISTORY_SCHEMA, AuditPlan, HistoryPlan, TableClass
from pgstead.model.audited_tables import AuditedTables
from pgstead.model.design import Environment
from pgstead.model.host import ServerBuild
from pgstead.model.layout import Layout
from pgstead.model.resources import ChangeHistory, Role, RoleSetting, Schema

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
        classes=tuple(c for entry in manifest.databases for c in _classes(entry)),
        levels=dict(_raised(manifest)),
    )


def _classes(entry: DatabaseEntry) -> Iterator[TableClass]:
    for told in entry.audit:
        yield TableClass(entry.name, told.name, told.tables, reads=told.record == "all")


def _raised(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """Yield roles of which more is logged than is recorded, for the sake of a class."""
    for entry in manifest.databases:
        for role, level in _people(entry, manifest):
            if _logged(level, entry) != level:
                yield role, level


def _people(entry: DatabaseEntry, manifest: Manifest) -> Iterator[tuple[str, str]]:
    yield entry.app, manifest.audit.application
    for role in (entry.admin, entry.readonly, entry.migrator):
        yield role, manifest.audit.people


def _logged(level: str, entry: DatabaseEntry) -> str:
    """Return the level that is logged: all, where a class needs tenants and correlation ids.

    They travel with BEGIN, which the server logs at that level alone.
    """
    return "all" if entry.audit else level


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
    for entry in manifest.databases:
        for role, level in _people(entry, manifest):
            yield from _settings(role, level, entry, found)
    if found.pgaudit:  # also without a class: roles that are left over are not dropped
        yield Role(AUDITOR, purpose="what it may do to a table, pgaudit records")
        for database in dict.fromkeys(c.database for c in found.classes):
            yield AuditedTables(database)
    folder = packaged.files("pgstead.design") / "sql"
    rows = (folder / "record_change.sql").read_text("utf-8").strip()
    statements = (folder / "record_changes.sql").read_text("utf-8").strip()
    for history in found.histories:
        yield Schema(history.database, HISTORY_SCHEMA, SUPERUSER)
        yield ChangeHistory(history.database, rows, statements)


def _settings(
    role: str, level: str, entry: DatabaseEntry, found: AuditPlan
) -> Iterator[RoleSetting]:
    logged = _logged(level, entry)
    if logged not in _LEVELS:
        return  # log_statement = ddl is everybody's
    if found.pgaudit:
        yield RoleSetting(role, "", "pgaudit.log", _CLASSES[logged])
        yield RoleSetting(role, "", "pgaudit.log_catalog", "off")
        if entry.audit:
            yield RoleSetting(role, "", "pgaudit.role", AUDITOR)
        return
    yield RoleSetting(role, "", "log_statement", _LEVELS[logged])
