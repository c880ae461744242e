"""The programs that the supervisor keeps running."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from pgstead.manifest.document import Manifest
from pgstead.model.design import Program, Service
from pgstead.model.host import HostFacts, PoolerBuild, ServerBuild
from pgstead.model.layout import Layout

# The server's own messages stay in one language, and its clock in one zone (SRV-14).
_NEUTRAL: Mapping[str, str] = {"LC_ALL": "C.UTF-8", "TZ": "UTC"}


def services(manifest: Manifest, host: HostFacts) -> tuple[Service, ...]:
    """Return the HTTP services of a manifest, and where they are reached."""
    hosts: Mapping[str, str] = {} if host.network is None else host.network.hosts
    return tuple(
        Service(
            name=entry.name,
            database=entry.name,
            application=entry.service.application,
            host=hosts.get(f"api-{entry.name}", entry.service.host),
            port=entry.service.port,
            prefix=entry.prefix,
        )
        for entry in manifest.databases
        if entry.service
    )


def programs(
    manifest: Manifest,
    host: HostFacts,
    build: ServerBuild,
    pooler: PoolerBuild | None,
    layout: Layout,
    services_python: str,
) -> Iterator[Program]:
    """Yield server, pooler and services, in the order in which they start."""
    yield _postgres(host, build, layout)
    if pooler is not None:
        yield _pgbouncer(host, pooler, layout)
    for entry in manifest.databases:
        if entry.service:
            directory = layout.manifest_directory / PurePosixPath(entry.service.directory)
            yield Program(
                name=f"api-{entry.name}",
                kind="service",
                command=(
                    services_python, "-m", "pgstead.serve",
                    "--application", entry.service.application,
                    "--host", entry.service.host,
                    "--port", str(entry.service.port),
                    "--connection", str(layout.connection(entry.name)),
                ),
                user=host.service_user,
                environment={"TZ": "UTC", "PYTHONUNBUFFERED": "1"},
                directory=str(directory),
                priority=30,
                stop_signal="TERM",
                stop_seconds=30,
            )  # fmt: skip


def agent(host: HostFacts, layout: Layout, python: str) -> Program:
    """Return what keeps the schedule: samples, backups, drills."""
    return Program(
        name="agent",
        kind="agent",
        command=(
            python, "-m", "pgstead.cli.agent",
            str(layout.applied), str(layout.manifest_directory),
        ),
        user=host.os_user,
        environment={"TZ": "UTC", "PYTHONUNBUFFERED": "1"},
        directory=str(PurePosixPath(layout.manifest_directory)),
        priority=50,
        stop_signal="TERM",
        stop_seconds=30,
    )  # fmt: skip


def _environment(library_path: str) -> dict[str, str]:
    found = dict(_NEUTRAL)
    if library_path:
        found["LD_LIBRARY_PATH"] = library_path
    return found


def _postgres(host: HostFacts, build: ServerBuild, layout: Layout) -> Program:
    return Program(
        name="postgres",
        kind="postgres",
        command=(str(PurePosixPath(build.bindir) / "postgres"), "-D", str(layout.data)),
        user=host.server_user,
        environment=_environment(build.library_path),
        directory=str(layout.server),
        priority=10,
        stop_signal="INT",  # fast shutdown; TERM would wait for every client
        stop_seconds=60,
    )


def _pgbouncer(host: HostFacts, pooler: PoolerBuild, layout: Layout) -> Program:
    return Program(
        name="pgbouncer",
        kind="pgbouncer",
        command=(pooler.path, str(layout.pooler / "pgbouncer.ini")),
        user=host.server_user,
        environment=_environment(pooler.library_path),
        directory=str(layout.pooler),
        priority=20,
        # Immediate in every version; TERM waits for clients, perhaps for ever, since 1.23.
        stop_signal="QUIT",
        stop_seconds=10,
    )
