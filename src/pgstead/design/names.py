"""Names that pgstead itself gives, and the databases as the rest of the design sees them."""

from __future__ import annotations

from collections.abc import Mapping

from pgstead.manifest.document import DatabaseEntry, Manifest
from pgstead.model.design import DatabasePlan, Environment

SUPERUSER = "postgres"
LOOKUP = "pgstead_pooler"
MONITOR = "pgstead_monitor"
BACKUP = "pgstead_backup"
AUDITOR = "pgstead_auditor"  # nobody's login: what it may do to a table, pgaudit records
SCHEMA = "pgstead"
LEDGER_SCHEMA = "pgstead_migrations"  # the owner's, where migrations write what they did
LOOKUP_FUNCTION = "pgstead.pooler_lookup(text)"
IDENT_MAP = "pgstead"
IDLE = 900  # seconds; an inactive session ends after 15 minutes (SRV-8)
RECYCLE = 1800.0  # APP-1
RECYCLE_POOLED = 840.0  # below IDLE, so that no request meets a connection just cut
MINE = ("pg_stat_statements",)  # in every database (TEL-5)


def recycle(entry: DatabaseEntry, *, pooled: bool) -> float:
    """Return the age at which an application replaces a connection."""
    wanted = entry.pool.recycle
    if wanted is None:
        return RECYCLE_POOLED if pooled else RECYCLE
    return min(wanted, RECYCLE_POOLED) if pooled else wanted


def plan(entry: DatabaseEntry, manifest: Manifest, heads: tuple[str, ...]) -> DatabasePlan:
    """Return a database as applications and commands see it."""
    production = manifest.environment is Environment.PRODUCTION
    return DatabasePlan(
        name=entry.name,
        owner=entry.owner,
        app=entry.app,
        admin=entry.admin,
        migrator=entry.migrator,
        readonly=entry.readonly,
        extensions=(*MINE, *(e for e in entry.extensions if e not in MINE)),
        migrations=entry.migrations,
        models=entry.models,
        sample="" if production else entry.sample,  # production loads no sample data (SRV-13)
        imported_from=entry.imported_from,
        pool_size=entry.pool.size,
        max_overflow=entry.pool.max_overflow,
        pool_timeout=float(entry.pool.timeout),
        pool_recycle=int(recycle(entry, pooled=manifest.pooler.enabled)),
        prefix=entry.prefix,
        heads=heads,
        files=entry.files,
    )


def plans(manifest: Manifest, heads: Mapping[str, tuple[str, ...]]) -> tuple[DatabasePlan, ...]:
    """Return every database of a manifest."""
    return tuple(
        plan(entry, manifest, tuple(heads.get(entry.name, ()))) for entry in manifest.databases
    )
