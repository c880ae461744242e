"""How a stead is backed up: the plan, and the resources that it rests on (BAK-1 to BAK-4)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import PurePosixPath

from pgstead.design import mirror
from pgstead.design.names import BACKUP
from pgstead.errors import ManifestError
from pgstead.manifest.document import Manifest
from pgstead.model.address import Resource
from pgstead.model.backup import SERVER, BackupPlan
from pgstead.model.design import Environment, Program
from pgstead.model.host import BackupTools, HostFacts, ServerBuild
from pgstead.model.layout import Layout
from pgstead.model.resources import (
    BackupKey,
    Grant,
    Membership,
    ReplicationSlot,
    SecretFile,
)

PASSPHRASE = "backup-passphrase"
SLOT = "pgstead_backup"
# The same for every stead: a repository is restored by steads that did not make it.
RECIPIENT = "backup@pgstead.invalid"
_DAY = 86_400.0
# Bytes a second for each CPU: bench/backup.py shows what a load feels of them.
_RATE = 16 * 2**20
_GENTLE_RATE = 4 * 2**20
# What Barman insists on before it begins, whichever of them it calls.
_FUNCTIONS = (
    "pg_backup_start(text,boolean)",
    "pg_backup_stop(boolean)",
    "pg_create_restore_point(text)",
    "pg_switch_wal()",
)


def places(manifest: Manifest, layout: Layout) -> tuple[PurePosixPath, PurePosixPath]:
    """Return where base backups and WAL lie, and where logical dumps do."""
    told, home = manifest.backup, layout.manifest_directory
    return (
        home / told.directory if told.directory else layout.backup / "repository",
        home / told.export.directory if told.export.directory else layout.backup / "exports",
    )


def plan(manifest: Manifest, build: ServerBuild, layout: Layout, cpus: float) -> BackupPlan | None:
    """Return how the stead is backed up, None where it is not. Raises ManifestError."""
    told = manifest.backup
    if not told.enabled:
        return None
    _refuse(manifest, build)
    home = layout.manifest_directory
    repository, exports = places(manifest, layout)
    secret = layout.secret(PASSPHRASE)
    return BackupPlan(
        repository=str(repository),
        slot=SLOT,
        compression=told.compression,
        encrypted=told.encryption,
        passphrase=str(home / told.passphrase_file if told.passphrase_file else secret),
        recipient=RECIPIENT,
        rate_limit=rate(manifest, cpus),
        gentle_rate=rate(manifest, cpus, gentle=True),
        schedule=told.schedule,
        incremental=told.incremental,
        retention=round(told.retention / _DAY),
        minimum=told.minimum,
        max_age=told.max_age,
        drill=told.drill.schedule,
        drill_age=told.drill.max_age,
        exports=str(exports),
        export=told.export.schedule,
        export_kept=round(told.export.kept / _DAY),
        export_age=told.export.max_age,
        mirror=mirror.plan(manifest, layout),
    )


def rate(manifest: Manifest, cpus: float, *, gentle: bool = False) -> int:
    """Return how many bytes a second a base backup may read; 0: as many as it can."""
    match manifest.backup.rate_limit:
        case "auto":
            return (_GENTLE_RATE if gentle else _RATE) * max(1, math.floor(cpus))
        case "none":
            return 0
        case limit:
            return limit


def _refuse(manifest: Manifest, build: ServerBuild) -> None:
    told = manifest.backup
    if not told.encryption and not manifest.waives("backup-encryption"):
        raise ManifestError(
            "backups without encryption show every row to whoever finds them (BAK-4)",
            hint='sign for it: [[waive]] what = "backup-encryption", reason, expires',
            key="backup.encryption",
        )
    if told.encryption and told.compression == "none":
        raise ManifestError(
            "Barman encrypts compressed backups only",
            hint='backup.compression = "zstd"',
            key="backup.compression",
        )
    if not told.incremental:
        return
    if build.major < 17:
        raise ManifestError(
            f"PostgreSQL {build.major} makes no incremental backups; 17 does",
            hint="leave backup.incremental out",
            key="backup.incremental",
        )
    if told.encryption or told.compression != "none":
        raise ManifestError(
            "an incremental backup is combined from plain files: Barman makes none of compressed"
            " or encrypted ones",
            hint='choose: backup.incremental, or backup.encryption; compression = "none" with it',
            key="backup.incremental",
        )


def resources(manifest: Manifest, plan: BackupPlan) -> Iterator[Resource]:
    """Yield what backups rest on beside their role: key, slot, and the rights to use them."""
    if plan.encrypted and not manifest.backup.passphrase_file:
        yield SecretFile(PASSPHRASE, 0o600)
    yield BackupKey(plan.repository, 0o700, plan.encrypted)
    yield ReplicationSlot(plan.slot)
    yield Grant("postgres", "database", "postgres", BACKUP, ("CONNECT",))
    for function in _FUNCTIONS:
        yield Grant("postgres", "function", f"pg_catalog.{function}", BACKUP, ("EXECUTE",))
    # Barman looks at settings, at who streams, and asks for a checkpoint before it switches.
    for role in ("pg_read_all_settings", "pg_read_all_stats", "pg_checkpoint"):
        yield Membership(role, BACKUP)


def receiver(tools: BackupTools, host: HostFacts, layout: Layout) -> Program:
    """Return what receives the WAL."""
    return Program(
        name="wal-receiver",
        kind="archiver",
        command=(*tools.launch, "-c", str(layout.barman_conf), "receive-wal", SERVER),
        user=host.os_user,
        environment={"TZ": "UTC", "HOME": "/nonexistent"},
        directory=str(layout.backup),
        priority=40,
        stop_signal="TERM",
        stop_seconds=20,
    )


def max_age(manifest: Manifest) -> float:
    """Return after how many seconds a base backup is too old to migrate after (MIG-6)."""
    if manifest.environment is Environment.PRODUCTION:
        return min(manifest.backup.max_age, 1.5 * _DAY)
    return manifest.backup.max_age
