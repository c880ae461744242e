"""A stead in containers: the same design, each program in a container of its own. Pure.

What differs from one machine: programs reach each other by name over an internal network, so
they listen on their containers' addresses, and pg_hba.conf lets that network in as it lets
loopback in elsewhere. Ports inside are the usual ones; those of the manifest are published.
"""

from __future__ import annotations

import ipaddress
import math
import posixpath
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import PurePosixPath

from pgstead.catalog import gaps
from pgstead.design import (
    brought,
    compose,
    container_directories,
    container_network,
    memory,
    monitoring_containers,
    store_container,
)
from pgstead.design.memory import GB, MB
from pgstead.design.server import PRELOADED, cpus
from pgstead.manifest.document import DatabaseEntry, Manifest
from pgstead.model.containers import (
    CLUSTER,
    HANDED,
    HOME,
    PACKAGES,
    STEAD,
    STORE,
    Composition,
    Container,
    Health,
    Limits,
    Mount,
    Published,
    Until,
)
from pgstead.model.design import Design
from pgstead.model.host import (
    BackupTools,
    ContainerNetwork,
    HostFacts,
    PoolerBuild,
    ServerBuild,
)
from pgstead.model.layout import Layout

SERVER_PORT, POOLER_PORT = 5432, 6432
POOLER_FLOOR = (1, 25, 2)  # what is older has known holes
_PYTHON = f"{PACKAGES}/bin/python"
_UNNAMED = re.compile(r"[^a-z0-9-]+")
_SMALL = Limits(memory=512 * MB, cpus=1, processes=128)
_AGENT = Limits(memory=2 * GB, cpus=2, processes=512)  # restores run in it, with a server of theirs


def label(text: str) -> str:
    """Return a name as Compose and host names take it."""
    return _UNNAMED.sub("-", text.lower()).strip("-") or "stead"


def service_name(entry: DatabaseEntry) -> str:
    """Return the name of the container of a database's service."""
    return f"api-{label(entry.name)}"


def network(manifest: Manifest) -> ContainerNetwork:
    """Return how the containers see each other."""
    internal, edge = container_network.subnets(manifest)
    hosts = {"direct": container_network.SERVER, "pooler": container_network.POOLER}
    for entry in manifest.databases:
        if entry.service:
            hosts[f"api-{entry.name}"] = f"{service_name(entry)}.internal"
    if store_container.is_there(manifest):
        hosts[STORE] = store_container.HOST
    # The engine gives a network's first address to itself: who comes to a port that is published
    # on loopback comes from there.
    gateway = next(ipaddress.ip_network(edge).hosts())
    return ContainerNetwork(hosts, (internal,), f"{gateway}/32")


def inside(manifest: Manifest) -> Manifest:
    """Return the manifest as it is read in the containers. Raises ManifestError."""
    container_directories.refuse(manifest)
    server = manifest.server.model_copy(
        update={"port": SERVER_PORT, "user": "", "bindir": _bindir(manifest)}
    )
    pooler = manifest.pooler.model_copy(
        update={"port": POOLER_PORT, "binary": "/usr/sbin/pgbouncer"}
    )
    return store_container.used(brought.seen(manifest)).model_copy(
        update={
            "state": HOME,
            "server": server,
            "pooler": pooler,
            "databases": tuple(_opened(entry) for entry in manifest.databases),
        }
    )


def _bindir(manifest: Manifest) -> str:
    return f"/usr/lib/postgresql/{manifest.server.major}/bin"  # Debian's, and PGDG's


def _opened(entry: DatabaseEntry) -> DatabaseEntry:
    if entry.service is None:
        return entry
    everywhere = "0.0.0.0"  # noqa: S104 - of its container
    return entry.model_copy(
        update={"service": entry.service.model_copy(update={"host": everywhere})}
    )


def composition(manifest: Manifest, host: HostFacts, place: str = STEAD) -> Composition:
    """Return the containers of a stead, sized for `host`; the manifest lies at `place` in them."""
    internal, edge = container_network.subnets(manifest)
    network = ipaddress.ip_network(internal)
    return Composition(
        project=f"pgstead-{label(manifest.name)}",
        containers=tuple(
            container_network.acquainted(_placed(_within(c, host), place), manifest)
            for c in _containers(manifest, host)
        ),
        internal=internal,
        given=str([*network.subnets(prefixlen_diff=1)][1]),
        gateway=str(network[1]),
        edge=edge,
        profiles=(*monitoring_containers.asked(manifest), *store_container.asked(manifest)),
    )


def _within(container: Container, host: HostFacts) -> Container:
    """Give none more processors than there are: the engine would refuse it."""
    limits = container.limits
    return replace(container, limits=replace(limits, cpus=min(limits.cpus, host.cpus)))


def _placed(container: Container, place: str) -> Container:
    """Begin where the manifest lies; what it names may lie above."""
    if not container.directory:
        return container
    mounts = (replace(mount, target=_below(place, mount.target)) for mount in container.mounts)
    return replace(container, directory=_below(place, container.directory), mounts=tuple(mounts))


def _below(place: str, path: str) -> str:
    inside = path == STEAD or path.startswith(f"{STEAD}/")
    return posixpath.normpath(place + path.removeprefix(STEAD)) if inside else path


def _containers(manifest: Manifest, host: HostFacts) -> Iterator[Container]:
    yield _once(manifest, "prepare", {})
    yield _postgres(manifest, host)
    up = {"postgres": Until.HEALTHY}
    if manifest.pooler.enabled:
        yield _pgbouncer(manifest)
        up["pgbouncer"] = Until.HEALTHY
    yield _once(manifest, "provision", {"prepare": Until.DONE, **up})
    if manifest.backup.enabled:
        yield _keeper(manifest, "wal-receiver", _SMALL, _receives())
    if manifest.backup.enabled or manifest.telemetry.enabled:
        yield _keeper(manifest, "agent", _AGENT, _beats(manifest))
    for entry in manifest.databases:
        if entry.service is not None:
            yield _service(manifest, entry)
    yield from store_container.containers(manifest)
    yield from monitoring_containers.containers(manifest)


def _user(manifest: Manifest) -> str:
    return f"{manifest.containers.uid}:{manifest.containers.uid}"


def _postgres(manifest: Manifest, host: HostFacts) -> Container:
    bound, _ = memory.limit(manifest, host)
    count, _ = cpus(manifest, host)
    asks = f"host={HOME}/server/run port={SERVER_PORT} user=postgres dbname=postgres"
    limits = Limits(
        memory=bound,
        cpus=count,
        processes=1024,
        shared=max(256 * MB, bound // 8),  # parallel queries exchange rows there
    )
    return Container(
        name="postgres",
        image="server",
        entrypoint=(f"{_bindir(manifest)}/postgres",),
        command=("-D", f"{HOME}/server/data"),
        limits=limits,
        user=_user(manifest),
        environment={"LC_ALL": "C.UTF-8", "TZ": "UTC"},
        mounts=(*_cluster(), Mount("postgres-tls", f"{HOME}/tls", read_only=True)),
        published=(_published(manifest, manifest.server.port, SERVER_PORT),),
        alias=container_network.SERVER,
        waits={"prepare": Until.DONE},
        health=Health(f"psql -XAtqc 'SELECT 1' '{asks}'", start_period=600),
        stop_signal="SIGINT",  # fast shutdown; SIGTERM would wait for every client
        stop_seconds=90,
    )


def _cluster() -> tuple[Mount, Mount]:
    """Mount the cluster where every part of the stead looks for it, and where images declare it.

    Else the engine would make a nameless volume for the declared one.
    """
    return Mount("postgresql", CLUSTER), Mount("postgresql", f"{HOME}/server")


def _pgbouncer(manifest: Manifest) -> Container:
    asks = f"host={HOME}/pooler port={POOLER_PORT} user=pgbouncer dbname=pgbouncer"
    return Container(
        name="pgbouncer",
        image="pooler",
        entrypoint=("/usr/sbin/pgbouncer",),
        command=(f"{HOME}/pooler/pgbouncer.ini",),
        limits=Limits(memory=256 * MB, cpus=1, processes=64),
        user=_user(manifest),
        environment={"LC_ALL": "C.UTF-8", "TZ": "UTC"},
        mounts=(
            Mount("pooler", f"{HOME}/pooler"),
            Mount("pgbouncer-tls", f"{HOME}/tls", read_only=True),
        ),
        temporary=("/tmp", CLUSTER),  # noqa: S108 - each container's own
        published=(_published(manifest, manifest.pooler.port, POOLER_PORT),),
        alias=container_network.POOLER,
        waits={"postgres": Until.HEALTHY},
        health=Health(f"psql -XAtqc 'SHOW VERSION' '{asks}'"),
        stop_signal="SIGQUIT",  # at once, in every version; SIGTERM waits for clients
        stop_seconds=10,
    )


def toolbox_mounts(manifest: Manifest) -> tuple[Mount, ...]:
    """Return what the toolbox sees: the whole state, with the parts that others see too."""
    mounts = [Mount("state", HOME), *_cluster()]
    mounts.append(Mount("postgres-tls", f"{HOME}/{HANDED}/postgres"))
    if manifest.pooler.enabled:
        mounts.append(Mount("pooler", f"{HOME}/pooler"))
        mounts.append(Mount("pgbouncer-tls", f"{HOME}/{HANDED}/pgbouncer"))
    if manifest.backup.enabled:
        mounts.append(Mount("backup", f"{HOME}/backup"))
    mounts.append(Mount("telemetry", f"{HOME}/telemetry"))
    mounts.append(Mount("persons", f"{HOME}/persons"))
    for entry in manifest.databases:
        if entry.service is not None:
            name = service_name(entry)
            mounts.append(Mount(name, f"{HOME}/{HANDED}/{name}"))
    files = container_directories.mounts(*manifest.databases)
    return (*mounts, *files, *store_container.mounts(manifest))


def _toolbox(*words: str) -> tuple[str, ...]:
    return (_PYTHON, "-m", "pgstead.cli.container", *words)


_QUIET = {"TZ": "UTC", "PYTHONUNBUFFERED": "1", "HOME": "/tmp"}  # noqa: S108 - its container's own


def _once(manifest: Manifest, name: str, waits: dict[str, Until]) -> Container:
    return Container(
        name=name,
        image="toolbox",
        entrypoint=_toolbox(),
        command=(name,),
        limits=_AGENT,
        user=_user(manifest),
        directory=STEAD,
        environment=_QUIET,
        passed={"PGSTEAD_ALLOW": "reload"},
        mounts=toolbox_mounts(manifest),
        outward=name == "provision"
        and brought.asks_outside(manifest),  # a restore from S3 runs in it
        waits=waits,
        once=True,
    )


def _keeper(manifest: Manifest, name: str, limits: Limits, health: Health | None) -> Container:
    return Container(
        name=name,
        image="toolbox",
        entrypoint=_toolbox(),
        command=("run", name),
        limits=limits,
        user=_user(manifest),
        directory=STEAD,
        environment=_QUIET,
        mounts=toolbox_mounts(manifest),
        outward=name == "agent" and brought.asks_outside(manifest),
        waits={"provision": Until.DONE},
        health=health,
        stop_seconds=45,
    )


def _receives() -> Health:
    """Ask whether pg_receivewal is there: Barman goes on trying where the server refuses it."""
    return Health("grep -qx pg_receivewal /proc/[0-9]*/comm")


def _beats(manifest: Manifest) -> Health | None:
    """Ask whether the samples are fresh: an agent that hangs has a process too."""
    if not manifest.telemetry.enabled:
        return None
    minutes = max(2, math.ceil(3 * manifest.telemetry.interval / 60))
    found = f"find {HOME}/telemetry -name 'samples.db*' -mmin -{minutes}"
    return Health(f'test -n "$({found})"', start_period=120)


def _service(manifest: Manifest, entry: DatabaseEntry) -> Container:
    told = entry.service
    assert told is not None
    name = service_name(entry)
    ready = f"http://127.0.0.1:{told.port}/health/ready"
    asks = f'import urllib.request as r; r.urlopen("{ready}", timeout=4)'
    return Container(
        name=name,
        image="service",
        entrypoint=(_PYTHON, "-m", "pgstead.serve"),
        command=(
            "--application", told.application,
            "--host", "0.0.0.0",  # noqa: S104 - of its container
            "--port", str(told.port),
            "--connection", f"{HOME}/connections/{entry.name}.json",
        ),
        limits=Limits(memory=GB, cpus=2, processes=256),
        user=_user(manifest),
        directory=f"{STEAD}/{told.directory}".removesuffix("/."),
        environment={"TZ": "UTC", "PYTHONUNBUFFERED": "1"},
        mounts=(
            Mount(name, HOME, read_only=True),
            Mount("telemetry", f"{HOME}/telemetry", read_only=True),
            # a secret is made when an application writes the first value of a person
            Mount("persons", f"{HOME}/persons"),
            *container_directories.mounts(entry),
        ),
        published=(_published(manifest, told.port, told.port),),
        alias=network(manifest).hosts[f"api-{entry.name}"],
        waits={"provision": Until.DONE},
        health=Health(f"python3 -c '{asks}'"),
    )  # fmt: skip


def _published(manifest: Manifest, port: int, target: int) -> Published:
    return Published(manifest.containers.publish, port, target)


def expected(manifest: Manifest, host: HostFacts, place: str = STEAD) -> Design:
    """Return the design that the containers will come to, as far as this machine can tell.

    Which builds the images hold is seen there alone; what others are told of the stead, its
    services and alerts, does not depend on it.
    """
    major = manifest.server.major
    build = ServerBuild(
        major=major,
        version=gaps.newest_server(major),
        bindir=_bindir(manifest),
        origin="system",
        tls=True,
        io_uring=False,
        lz4=True,
        zstd=True,
        modules=frozenset(PRELOADED),
    )
    tools = BackupTools("", _PYTHON, "", "rsync", "gpg") if manifest.backup.enabled else None
    facts = replace(host, ipv6=False, network=network(manifest), backup_tools=tools)
    pooler = PoolerBuild(POOLER_FLOOR, "/usr/sbin/pgbouncer", "system")
    layout = Layout(PurePosixPath(HOME), PurePosixPath(place))
    heads: dict[str, tuple[str, ...]] = {entry.name: () for entry in manifest.databases}
    return compose.compose(
        inside(manifest), facts, build, pooler, layout, manifest.name, heads, _PYTHON
    )
