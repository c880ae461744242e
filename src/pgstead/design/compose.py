"""Manifest + machine + binaries -> Design. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pgstead.catalog import gaps
from pgstead.design import (
    accounts,
    alerts,
    audit,
    backup,
    budget,
    databases,
    names,
    pooler,
    programs,
    roles,
    server,
    store_container,
    telemetry,
    tls,
    upkeep,
)
from pgstead.design.budget import Connections
from pgstead.design.memory import Memory
from pgstead.design.reasons import Value, settled
from pgstead.errors import ManifestError, MissingPoolerError
from pgstead.manifest.document import Manifest
from pgstead.model.address import Resource
from pgstead.model.at_rest import AtRestPlan
from pgstead.model.audit import AuditPlan
from pgstead.model.backup import BackupPlan
from pgstead.model.care import CarePlan
from pgstead.model.design import (
    DatabasePlan,
    Design,
    Environment,
    HbaRule,
    PoolerDatabase,
    Program,
    Reason,
    Waiver,
)
from pgstead.model.host import HostFacts, PoolerBuild, ServerBuild
from pgstead.model.layout import Layout
from pgstead.model.rotation import RotationPlan
from pgstead.model.stead import Stead
from pgstead.model.telemetry import TelemetryPlan
from pgstead.model.upkeep import UpkeepPlan

_LONGEST_CLUSTER_NAME = 63  # NAMEDATALEN - 1


@dataclass(frozen=True, slots=True)
class Decided:
    """What everything else follows from."""

    connections: Connections
    memory: Memory
    settings: Mapping[str, Value]
    pooler: PoolerBuild | None  # None where no pooler is wanted
    pooler_settings: Mapping[str, Value]
    plans: tuple[DatabasePlan, ...]
    audit: AuditPlan | None  # None where nothing is audited
    upkeep: UpkeepPlan

    @property
    def pooled(self) -> bool:
        """Whether a pooler stands in front."""
        return self.pooler is not None


def compose(
    manifest: Manifest,
    host: HostFacts,
    build: ServerBuild,
    pooler_build: PoolerBuild | None,
    layout: Layout,
    stead_id: str,
    heads: Mapping[str, tuple[str, ...]],
    python: str,
) -> Design:
    """Decide everything. Raises BudgetError, ManifestError or MissingPoolerError.

    Where the machine has no tools for them there are no backups, whatever the manifest says.
    """
    decided = _decide(manifest, host, build, pooler_build, layout, heads)
    backed_up = _backed_up(manifest, host, build, layout)
    watched = telemetry.plan(manifest, host, layout, backed_up)
    return Design(
        name=manifest.name,
        stead_id=stead_id,
        environment=manifest.environment,
        stead=Stead.of(_wanted(manifest, host, build, stead_id, decided, backed_up)),
        layout=layout,
        host=host,
        build=build,
        pooler=decided.pooler,
        doors=tls.doors(manifest, host, build, pooled=decided.pooled),
        databases=decided.plans,
        services=programs.services(manifest, host),
        settings=_written(decided.settings),
        initial=tls.brought(manifest),
        hba=_hba(manifest, host, build, decided, backed_up),
        ident=roles.ident(host),
        pooler_settings=_written(decided.pooler_settings),
        pooler_databases=_pooled_databases(manifest, decided),
        programs=_programs(manifest, host, build, decided, layout, python, backed_up, watched),
        budget=decided.connections.budget,
        reasons=_reasons(manifest, decided),
        notices=tuple(accounts.notices(manifest, build, decided.pooler, decided.memory)),
        waivers=_waivers(manifest),
        networks=manifest.networks.allow,
        pooler_hba=pooler.hba(manifest, host) if decided.pooled else (),
        lookup_role=names.LOOKUP,
        monitor_role=names.MONITOR,
        backup_role=names.BACKUP,
        backup=backed_up,
        telemetry=watched,
        alerts=alerts.plan(manifest, layout, watched, backed_up=backed_up is not None),
        audit=decided.audit,
        rotation=RotationPlan(**manifest.rotation.model_dump()),
        at_rest=AtRestPlan(**manifest.at_rest.model_dump()),
        upkeep=decided.upkeep,
        care=CarePlan(**manifest.care.model_dump()),
    )


def _backed_up(
    manifest: Manifest, host: HostFacts, build: ServerBuild, layout: Layout
) -> BackupPlan | None:
    # Without the tools for them there are no backups, whatever the manifest says.
    if not host.backup_tools:
        return None
    return backup.plan(manifest, build, layout, server.cpus(manifest, host)[0])


def _hba(
    manifest: Manifest,
    host: HostFacts,
    build: ServerBuild,
    decided: Decided,
    backed_up: BackupPlan | None,
) -> tuple[HbaRule, ...]:
    kept = backed_up is not None
    return roles.hba(manifest, host, build, pooled=decided.pooled, backed_up=kept)


def _check(manifest: Manifest, build: ServerBuild, pooler_build: PoolerBuild | None) -> None:
    if build.major != manifest.server.major:
        raise ManifestError(
            f"the binaries in {build.bindir} are PostgreSQL {build.major}, "
            f"the manifest asks for {manifest.server.major}",
            hint="set server.major or server.bindir",
            key="server.major",
        )
    if not build.tls and not manifest.pooler.enabled:
        raise ManifestError(
            f"the server build in {build.bindir} has no TLS and no pooler stands before it: "
            "nobody could connect",
            hint="set pooler.enabled = true, or use a build with TLS",
            key="pooler.enabled",
        )
    if not manifest.pooler.enabled:
        return
    if pooler_build is None:
        raise MissingPoolerError(
            "pgbouncer is not to be found", hint="`pgstead doctor --fix` fetches it"
        )
    too_old = pooler_build.version < gaps.pooler_floor()
    production = manifest.environment is Environment.PRODUCTION
    if too_old and production and not manifest.waives("pooler-below-floor"):
        floor = ".".join(map(str, gaps.pooler_floor()))
        raise ManifestError(
            f"PgBouncer {pooler_build.text} is below {floor}, the floor for production (POL-8)",
            hint='install a newer one, or sign for it: [[waive]] what = "pooler-below-floor"',
            key="pooler.binary",
        )


def _decide(
    manifest: Manifest,
    host: HostFacts,
    build: ServerBuild,
    pooler_build: PoolerBuild | None,
    layout: Layout,
    heads: Mapping[str, tuple[str, ...]],
) -> Decided:
    _check(manifest, build, pooler_build)
    at_hand = pooler_build if manifest.pooler.enabled else None
    connections = budget.solve(manifest)
    divided = server.divided(manifest, host, connections)
    pooler_values: dict[str, Value] = {}
    if at_hand is not None:
        derived = pooler.derive(manifest, host, build, at_hand, layout, connections)
        pooler_values = settled(derived, manifest.pooler.settings, "pooler.settings")
    return Decided(
        connections=connections,
        memory=divided,
        settings=_server_values(manifest, host, build, layout, connections, divided),
        pooler=at_hand,
        pooler_settings=pooler_values,
        plans=names.plans(manifest, heads),
        audit=audit.plan(manifest, build, layout),
        upkeep=upkeep.plan(manifest, build, layout, server.cpus(manifest, host)[0]),
    )


def _server_values(
    manifest: Manifest,
    host: HostFacts,
    build: ServerBuild,
    layout: Layout,
    connections: Connections,
    divided: Memory,
) -> dict[str, Value]:
    derived = server.derive(manifest, host, build, layout, connections, divided)
    fixed = (*tls.settings(manifest, host, build, layout), *tls.access(manifest, layout))
    derived |= {value.name: value for value in fixed}
    derived["cluster_name"] = Value("cluster_name", _cluster_name(manifest), "name", "name")
    return settled(derived, manifest.server.settings, "server.settings")


def _cluster_name(manifest: Manifest) -> str:
    """Return the stead's name as `ps` may show it: the server replaces all else by `?`."""
    printable = "".join(c if " " <= c <= "~" else "?" for c in manifest.name)
    return printable[:_LONGEST_CLUSTER_NAME]


def _programs(
    manifest: Manifest,
    host: HostFacts,
    build: ServerBuild,
    decided: Decided,
    layout: Layout,
    python: str,
    backed_up: BackupPlan | None,
    watched: TelemetryPlan | None,
) -> tuple[Program, ...]:
    return (
        *programs.programs(manifest, host, build, decided.pooler, layout, python),
        *_keepers(backed_up, watched, decided, host, layout, python),
    )


def _keepers(
    plan: BackupPlan | None,
    watched: TelemetryPlan | None,
    decided: Decided,
    host: HostFacts,
    layout: Layout,
    python: str,
) -> Iterator[Program]:
    if plan is not None and host.backup_tools is not None:
        yield backup.receiver(host.backup_tools, host, layout)
    kept = decided.audit is not None or decided.upkeep.automatic
    if plan is not None or watched is not None or kept:
        yield programs.agent(host, layout, python)


def _wanted(
    manifest: Manifest,
    host: HostFacts,
    build: ServerBuild,
    stead_id: str,
    decided: Decided,
    backed_up: BackupPlan | None,
) -> Iterator[Resource]:
    pooled = decided.pooled
    yield databases.cluster(build, stead_id)
    yield from tls.certificates(manifest, host, pooled=pooled)
    yield from roles.resources(manifest, build, decided.connections, pooled=pooled)
    yield from databases.resources(manifest, build, decided.plans, pooled=pooled)
    yield from server.resources(build.major, decided.settings)
    yield from pooler.resources(decided.pooler_settings)
    if backed_up is not None:
        yield from backup.resources(manifest, backed_up)
    if host.network is not None:
        yield from store_container.resources(manifest)
    if decided.audit is not None:
        yield from audit.resources(manifest, decided.audit)
    yield from upkeep.resources(decided.plans, decided.upkeep)


def _written(values: Mapping[str, Value]) -> dict[str, str]:
    return {name: value.text for name, value in values.items()}


def _pooled_databases(manifest: Manifest, decided: Decided) -> tuple[PoolerDatabase, ...]:
    if decided.pooler is None:
        return ()
    return pooler.databases(manifest, decided.pooler, decided.connections)


def _reasons(manifest: Manifest, decided: Decided) -> dict[str, Reason]:
    found = [value.reason("server") for value in decided.settings.values()]
    found += [value.reason("pooler") for value in decided.pooler_settings.values()]
    found += accounts.sums(decided.connections, decided.memory)
    found += accounts.renewals(manifest)
    return {reason.name: reason for reason in found}


def _waivers(manifest: Manifest) -> tuple[Waiver, ...]:
    return tuple(
        Waiver(w.what, w.reason, w.expires.isoformat() if w.expires else "") for w in manifest.waive
    )
