"""Manifest + machine + binaries -> Design. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pgstead.catalog import gaps
from pgstead.design import (
    budget,
    databases,
    memory,
    names,
    pooler,
    programs,
    roles,
    server,
    tls,
)
from pgstead.design.budget import Connections
from pgstead.design.memory import Memory
from pgstead.design.reasons import Value, settled
from pgstead.errors import ManifestError, MissingPoolerError
from pgstead.manifest.document import Manifest
from pgstead.model.design import Design, Environment, Notice, Reason, Waiver
from pgstead.model.host import HostFacts, PoolerBuild, ServerBuild
from pgstead.model.layout import Layout
from pgstead.model.stead import Stead

_LONGEST_CLUSTER_NAME = 63  # NAMEDATALEN - 1


def compose(
    manifest: Manifest,
    host: HostFacts,
    build: ServerBuild,
    pooler_build: PoolerBuild | None,
    layout: Layout,
    stead_id: str,
    heads: Mapping[str, tuple[str, ...]],
    services_python: str,
) -> Design:
    """Decide everything. Raises BudgetError, ManifestError or MissingPoolerError."""
    _check(manifest, build, pooler_build)
    at_hand = pooler_build if manifest.pooler.enabled else None
    pooled = at_hand is not None
    connections = budget.solve(manifest)
    divided = server.divided(manifest, host, connections)
    settings = _server_values(manifest, host, build, layout, connections, divided)
    pooler_values: dict[str, Value] = {}
    if at_hand is not None:
        derived = pooler.derive(manifest, host, build, at_hand, layout, connections)
        pooler_values = settled(derived, manifest.pooler.settings, "pooler.settings")
    plans = names.plans(manifest, heads)
    wanted = Stead.of(
        [
            databases.cluster(build, stead_id),
            *tls.certificates(manifest, host, pooled=pooled),
            *roles.resources(manifest, build, connections, pooled=pooled),
            *databases.resources(manifest, build, plans, pooled=pooled),
            *server.resources(build.major, settings),
            *pooler.resources(pooler_values),
        ]
    )
    return Design(
        name=manifest.name,
        stead_id=stead_id,
        environment=manifest.environment,
        stead=wanted,
        layout=layout,
        host=host,
        build=build,
        pooler=at_hand,
        doors=tls.doors(manifest, host, build, pooled=pooled),
        databases=plans,
        services=programs.services(manifest),
        settings={name: value.text for name, value in settings.items()},
        initial=_initial(manifest),
        hba=roles.hba(manifest, build, pooled=pooled),
        ident=roles.ident(host),
        pooler_settings={name: value.text for name, value in pooler_values.items()},
        pooler_databases=pooler.databases(manifest, at_hand, connections) if at_hand else (),
        programs=tuple(programs.programs(manifest, host, build, at_hand, layout, services_python)),
        budget=connections.budget,
        reasons=_reasons(manifest, settings, pooler_values, connections, divided),
        notices=tuple(_notices(manifest, build, at_hand, divided)),
        waivers=tuple(
            Waiver(w.what, w.reason, w.expires.isoformat() if w.expires else "")
            for w in manifest.waive
        ),
        superuser=names.SUPERUSER,
        lookup_role=names.LOOKUP,
        monitor_role=names.MONITOR,
        backup_role=names.BACKUP,
        networks=manifest.networks.allow,
        pooler_hba=pooler.hba(manifest) if pooled else (),
    )


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


def _initial(manifest: Manifest) -> dict[str, str]:
    """Return what the bootstrap needs: the user's certificates, by the name of their copy."""
    given = {
        "ca.crt": manifest.tls.ca,
        "server.crt": manifest.tls.certificate,
        "server.key": manifest.tls.key,
    }
    return {f"tls/{name}": path for name, path in given.items() if path}


def _reasons(
    manifest: Manifest,
    settings: Mapping[str, Value],
    pooler_values: Mapping[str, Value],
    connections: Connections,
    divided: Memory,
) -> dict[str, Reason]:
    found = [value.reason("server") for value in settings.values()]
    found += [value.reason("pooler") for value in pooler_values.values()]
    found += _sums(connections, divided)
    for index, entry in enumerate(manifest.databases):
        pooled = manifest.pooler.enabled
        seconds = names.recycle(entry, pooled=pooled)
        found.append(
            Reason(
                f"databases.{entry.name}.pool.recycle",
                f"{seconds:g} s",
                "30 minutes; below client_idle_timeout (900 s) where the pooler is used, "
                "or a request would meet a connection just cut",
                {"wanted": f"{entry.pool.recycle or names.RECYCLE:g} s"},
                f"databases[{index}].pool.recycle, SRV-8",
            )
        )
    return {reason.name: reason for reason in found}


def _sums(connections: Connections, divided: Memory) -> list[Reason]:
    sums = connections.budget
    clients = budget.sum_as_text(sums.clients, sums.client_limit, sums.client_limit_name)
    servers = budget.sum_as_text(sums.servers, sums.server_limit, sums.server_limit_name)
    return [
        Reason("budget.clients", str(connections.clients), clients, {}, "SRV-5"),
        Reason("budget.servers", str(connections.servers), servers, {}, "SRV-5"),
        Reason("budget.memory", f"{divided.total // memory.MB}MB", divided.lines(), {}, "SRV-3"),
    ]


def _notices(
    manifest: Manifest, build: ServerBuild, at_hand: PoolerBuild | None, divided: Memory
) -> Iterator[Notice]:
    yield from gaps.of_server(build.version)
    if at_hand is not None:
        yield from gaps.of_pooler(at_hand.version)
        hidden = [e.name for e in manifest.databases if not pooler.writable(e.name, at_hand)]
        if hidden:
            yield Notice(
                "pooler-any-database",
                f"PgBouncer {at_hand.text} cannot write {', '.join(map(repr, hidden))} into its "
                "configuration: it passes every database name on, and the server refuses "
                "what is not granted",
                "a name of letters, digits and _ needs no such entry",
            )
    yield from memory.notices(divided)
    if divided.total > divided.limit:
        yield Notice(
            "memory-beyond-limit",
            f"the manifest's own settings take {divided.total // memory.MB} MB of "
            f"{divided.limit // memory.MB} MB ({divided.limit_source})",
            "`pgstead explain budget.memory` shows the sum",
            "warning",
        )
    if not build.tls:
        yield Notice(
            "server-without-tls",
            "this server build has no TLS: it opens no TCP port, the pooler is the only door",
            "set server.bindir to a build with TLS for a direct door",
        )
    for entry in manifest.databases:
        wanted = entry.pool.recycle
        if wanted is not None and wanted > names.recycle(entry, pooled=at_hand is not None):
            yield Notice(
                "pool-recycle-lowered",
                f"{entry.name}: pool.recycle {wanted:g} s becomes {names.RECYCLE_POOLED:g} s, "
                "below the pooler's client_idle_timeout (900 s)",
                "write 14min or less",
            )
