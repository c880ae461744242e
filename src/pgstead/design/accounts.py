"""The sums as people read them, and what they should know beside the values."""

from __future__ import annotations

from collections.abc import Iterator

from pgstead.catalog import gaps
from pgstead.design import budget, memory, names, pooler
from pgstead.design.budget import Connections
from pgstead.design.memory import Memory
from pgstead.manifest.document import Manifest
from pgstead.model.design import Notice, Reason
from pgstead.model.host import PoolerBuild, ServerBuild


def sums(connections: Connections, divided: Memory) -> list[Reason]:
    """Return the three sums: clients, server connections, memory."""
    sums = connections.budget
    clients = budget.sum_as_text(sums.clients, sums.client_limit, sums.client_limit_name)
    servers = budget.sum_as_text(sums.servers, sums.server_limit, sums.server_limit_name)
    return [
        Reason("budget.clients", str(connections.clients), clients, {}, "SRV-5"),
        Reason("budget.servers", str(connections.servers), servers, {}, "SRV-5"),
        Reason("budget.memory", f"{divided.total // memory.MB}MB", divided.lines(), {}, "SRV-3"),
    ]


def renewals(manifest: Manifest) -> Iterator[Reason]:
    """Yield why applications renew their connections when they do."""
    for index, entry in enumerate(manifest.databases):
        seconds = names.recycle(entry, pooled=manifest.pooler.enabled)
        yield Reason(
            f"databases.{entry.name}.pool.recycle",
            f"{seconds:g} s",
            "30 minutes; below client_idle_timeout (900 s) where the pooler is used, "
            "or a request would meet a connection just cut",
            {"wanted": f"{entry.pool.recycle or names.RECYCLE:g} s"},
            f"databases[{index}].pool.recycle, SRV-8",
        )


def notices(
    manifest: Manifest, build: ServerBuild, at_hand: PoolerBuild | None, divided: Memory
) -> Iterator[Notice]:
    """Yield gaps of versions, floors not reached, and what was decided otherwise."""
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
