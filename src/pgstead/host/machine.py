"""The adapters of one stead, put together."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from pgstead.host import engine_line, holding, systemd
from pgstead.host.accounts import RoleAccounts
from pgstead.host.alert_store import AlertFile
from pgstead.host.audit_logs import RotatedLog
from pgstead.host.audit_trail import TrailFiles
from pgstead.host.backup_catalog import BackupCatalog
from pgstead.host.barman import BarmanProgram
from pgstead.host.certificates import CertificateStore, Provided
from pgstead.host.cluster import DataDirectory
from pgstead.host.couriers import TargetCouriers
from pgstead.host.dumps import LogicalDumps
from pgstead.host.files import LocalFiles
from pgstead.host.handing import HandedCertificates
from pgstead.host.holding import Keeper, PoolerHold
from pgstead.host.journal import JsonJournal
from pgstead.host.keys import KeyFiles
from pgstead.host.mirror_arrival import MirrorArrival
from pgstead.host.mirror_memory import MirrorMemory
from pgstead.host.mirror_source import MirrorSource
from pgstead.host.monitor import MonitorConnections
from pgstead.host.page_sums import PageSums
from pgstead.host.pgbouncer import SocketConsole
from pgstead.host.restored import LocalRestoredServer
from pgstead.host.restored_files import RestoredFiles
from pgstead.host.s3 import S3Store
from pgstead.host.sample_store import SampleFile
from pgstead.host.scratch import ScratchArea
from pgstead.host.sealing import Sealing
from pgstead.host.secrets import SecretFiles
from pgstead.host.sql import SocketSql
from pgstead.host.supervisor import LocalSupervisor
from pgstead.host.turns import Turns
from pgstead.host.upkeep_history import UpkeepFile
from pgstead.host.vault import RepositoryVault
from pgstead.host.visitor import DoorVisitor
from pgstead.host.vitals import MachineVitals
from pgstead.model.backup import BackupPlan
from pgstead.model.design import Design
from pgstead.model.file_tree import Units
from pgstead.model.host import BackupTools
from pgstead.model.layout import Layout
from pgstead.model.resources import Certificate
from pgstead.ports import Migrations, Ports, Progress, Secrets
from pgstead.ports.alerts import AlertPorts
from pgstead.ports.audit import AuditPorts
from pgstead.ports.backup import BackupPorts
from pgstead.ports.integrity import CarePorts
from pgstead.ports.mirror import MirrorPorts
from pgstead.ports.telemetry import TelemetryPorts


def ports(
    design: Design,
    *,
    migrations: Migrations,
    progress: Progress,
    new_keys: Callable[[str], str],
    units: Callable[[], Units],
    provided: Mapping[str, Provided] | None = None,
    tools: BackupTools | None = None,
) -> Ports:
    """Return the adapters for a design on this machine.

    `units` returns the stead as systemd would run it.
    `new_keys` returns the document with a database's first keys, given its prefix.
    `tools` are what backups are made with.
    `provided` names the certificates that the user brought: "ca", "server", "pooler".
    """
    layout, host = design.layout, design.host
    brought = {
        name: replace(given, names=certificate.names)
        for name, given in (provided or {}).items()
        if (certificate := design.stead.find(Certificate, name)) is not None
    }
    files, secrets = LocalFiles(layout.state), SecretFiles(layout.secrets)
    sql = SocketSql(layout.socket, int(design.settings["port"]), design.superuser)
    console = _console(design)
    store = CertificateStore(layout, owner=host.server_user, provided=brought)
    contained = host.network is not None
    return Ports(
        files=files,
        sql=sql,
        console=console,
        hold=PoolerHold(console, console.keeper),
        supervisor=engine_line.supervising(design, sql, console)
        if contained
        else systemd.supervising(layout, host, units) or LocalSupervisor(layout, host),
        secrets=secrets,
        keys=KeyFiles(layout, files, new_keys, os.environ),
        certificates=HandedCertificates(store, design) if contained else store,
        cluster=DataDirectory(layout, host, design.build, design.stead_id),
        migrations=migrations,
        journal=JsonJournal(layout.journal),
        progress=progress,
        visitor=DoorVisitor(design),
        backup=_backup(design, tools, progress),
        telemetry=_telemetry(design, secrets),
        alerts=_alerts(design),
        audit=_audit(design),
        upkeep=UpkeepFile(Path(layout.upkeep), JsonJournal(layout.journal)),
        care=CarePorts(
            pages=PageSums(design),
            accounts=RoleAccounts(design, secrets),
            runs=BackupCatalog(layout.runs, JsonJournal(layout.journal)),
        ),
    )


def _console(design: Design) -> SocketConsole:
    pooler = design.door("pooler")
    port = pooler.port if pooler is not None else 6432
    console = SocketConsole(design.layout.pooler, port, design.host.server_user)
    console.keeper = _keeper(design, console)
    return console


def _keeper(design: Design, console: SocketConsole) -> Keeper:
    layout = design.layout
    if design.host.network is None:
        return lambda: holding.by_signal(layout)
    # RELOAD: clients wait as long as the design says again, and no longer
    said = ("-c", "RESUME", "-c", "RELOAD")
    asks = [f"{design.build.bindir}/psql", "-XAtq", *said, console.conninfo]
    return lambda: holding.by_console(layout, console, asks)


def _backup(design: Design, tools: BackupTools | None, progress: Progress) -> BackupPorts | None:
    plan, layout = design.backup, design.layout
    if plan is None or tools is None:
        return None
    return BackupPorts(
        engine=BarmanProgram(plan, tools, layout, design.build.bindir),
        vault=RepositoryVault(plan, tools, layout.applied),
        catalog=BackupCatalog(layout.backup_catalog, JsonJournal(layout.journal)),
        restored=LocalRestoredServer(design),
        files=RestoredFiles(plan, design.build),
        dumps=LogicalDumps(design.build, design.host, design.superuser, Sealing(plan, tools)),
        turns=Turns(layout.backup, progress),
        scratch=ScratchArea(layout.backup),
        mirror=_mirror(plan, tools, layout, progress),
    )


def _mirror(
    plan: BackupPlan, tools: BackupTools, layout: Layout, progress: Progress
) -> MirrorPorts | None:
    if plan.mirror is None or not tools.s3:
        return None
    return MirrorPorts(
        store=S3Store(plan.mirror, tools, progress),
        source=MirrorSource(plan, layout),
        arrival=MirrorArrival(plan, layout),
        memory=MirrorMemory(layout.mirror_known),
    )


def _telemetry(design: Design, secrets: Secrets) -> TelemetryPorts | None:
    plan = design.telemetry
    if plan is None:
        return None
    return TelemetryPorts(
        monitor=MonitorConnections(design, secrets),
        vitals=MachineVitals(design),
        store=SampleFile(Path(plan.samples), plan.readers),
    )


def _alerts(design: Design) -> AlertPorts | None:
    plan, watched = design.alerts, design.telemetry
    if plan is None or watched is None:
        return None
    return AlertPorts(AlertFile(Path(plan.file), watched.readers), TargetCouriers(plan))


def _audit(design: Design) -> AuditPorts | None:
    plan = design.audit
    if plan is None:
        return None
    pooler, journal = Path(plan.pooler_log), Path(plan.journal)
    return AuditPorts(
        trail=TrailFiles(Path(plan.directory), JsonJournal(design.layout.journal)),
        server_log=RotatedLog(Path(plan.server_log), "*.json"),
        pooler_log=RotatedLog(pooler.parent, pooler.name) if plan.pooler_log else None,
        journal=RotatedLog(journal.parent, journal.name),
    )
