"""Machines, binaries and manifests for the tests of the design."""

from __future__ import annotations

from pathlib import PurePosixPath

from pgstead.design import compose as composing
from pgstead.manifest.load import parse
from pgstead.model.design import Design
from pgstead.model.host import HostFacts, PoolerBuild, ServerBuild
from pgstead.model.layout import Layout

GB = 1024**3
MODULES = frozenset({"pg_stat_statements", "auto_explain", "auth_delay", "passwordcheck"})
MINORS = {15: "15.19", 16: "16.15", 17: "17.11", 18: "18.6"}
LAYOUT = Layout(PurePosixPath("/srv/a stead"), PurePosixPath("/srv/project"))
MANIFEST = """\
version = 1
name = "shop"
{top}

[server]
major = {major}
{server}

[[databases]]
name = "shop"
{database}
"""


def text(
    *, top: str = "", major: int = 18, server: str = "", database: str = "", more: str = ""
) -> str:
    """Return a small manifest with additions."""
    return MANIFEST.format(top=top, major=major, server=server, database=database) + more


def host(memory: int = 16 * GB, cpus: float = 4, *, limit: int | None = None) -> HostFacts:
    """Return a machine."""
    return HostFacts(
        memory=memory,
        memory_limit=limit,
        memory_source="/proc/meminfo" if limit is None else "/sys/fs/cgroup/memory.max",
        cpus=cpus,
        cpus_source="affinity",
        ipv6=True,
        hostnames=("box.example",),
        os_user="root",
        server_user="postgres",
        service_user="nobody",
    )


def build(major: int = 18, *, tls: bool = True) -> ServerBuild:
    """Return a set of binaries."""
    return ServerBuild(
        major=major,
        version=MINORS[major],
        bindir=f"/opt/pg{major}/bin",
        origin="toolchain",
        tls=tls,
        io_uring=False,
        lz4=True,
        zstd=True,
        modules=MODULES,
    )


def pgbouncer(*version: int) -> PoolerBuild:
    """Return a PgBouncer."""
    major, minor, patch = version or (1, 26, 1)
    return PoolerBuild((major, minor, patch), "/usr/sbin/pgbouncer", "system")


def composed(
    manifest: str | None = None,
    machine: HostFacts | None = None,
    binaries: ServerBuild | None = None,
    pooler: PoolerBuild | None = None,
) -> Design:
    """Compose a design of a manifest's text."""
    told = parse(text() if manifest is None else manifest)
    return composing.compose(
        told,
        machine or host(),
        binaries or build(told.server.major),
        pooler or pgbouncer(),
        LAYOUT,
        "an-id",
        {},
        "/venv/bin/python",
    )
