"""A stead like the manifest's that lives for a while: for tests, and to compare a schema with."""

from __future__ import annotations

import secrets
import shutil
import socket
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from pgstead.design import likeness
from pgstead.errors import SteadError
from pgstead.host import clock, state
from pgstead.host.migrations import AlembicMigrations
from pgstead.model.layout import Layout

if TYPE_CHECKING:
    from pgstead.cli.wiring import Source
    from pgstead.manifest.document import DatabaseEntry
    from pgstead.model.design import Design
    from pgstead.ports import Ports

# Below what the kernel hands out for outgoing connections: between looking and listening nobody
# gets one of these by accident.
_PORTS = range(20_000, 32_000)


def designed(
    place: Path, source: Source, *entries: DatabaseEntry, workers: int = 1, migrated: bool = True
) -> tuple[Design, Ports]:
    """Return the design of a stead in the directory `place`, with some of the databases.

    With `migrated` they come up at the heads of their migrations, else empty.
    """
    from pgstead.cli.wiring import ports_for, survey
    from pgstead.design import compose
    from pgstead.render import compose as rendering

    # what lives for a while is neither backed up nor watched: nothing of that need be here
    given, off = source.manifest, {"enabled": False}
    without = {
        "backup": given.backup.model_copy(update=off),
        "telemetry": given.telemetry.model_copy(update=off),
        "audit": given.audit.model_copy(update=off),
        "upkeep": given.upkeep.model_copy(update=off),
    }
    source = replace(source, manifest=given.model_copy(update=without))
    found = survey(source)
    direct, pooler = _free_ports()
    manifest = likeness.manifest_of(
        source.manifest, *entries, direct=direct, pooler=pooler, workers=workers
    )
    layout = Layout(PurePosixPath(place), PurePosixPath(source.directory))
    migrations = AlembicMigrations(source.directory, Path(layout.run / "heads.json"))
    design = compose.compose(
        manifest,
        likeness.facts_of(found.ground.host),
        found.build,
        found.pooler,
        layout,
        state.identify(layout, manifest.name, manifest.server.major).stead_id,
        {e.name: migrations.heads_of(e.migrations) if migrated else () for e in entries},
        sys.executable,
    )
    design = rendering.attach(likeness.opened(design, workers))
    return design, ports_for(design)


def _free_ports() -> tuple[int, int]:
    found: set[int] = set()
    while len(found) < 2:
        port = secrets.choice(_PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.add(port)
    direct, pooler = found
    return direct, pooler


def bring_up(design: Design, ports: Ports) -> None:
    """Make it run, with keys of its own. The caller holds its lock."""
    from pgstead.app.encryption import keyfile
    from pgstead.workflows.up import up

    layout = design.layout
    identity = state.Identity(
        design.stead_id, design.name, design.build.major, clock.stamp(), str(layout.state)
    )
    state.prepare(layout, design.host)
    state.remember(layout, identity)
    for database in design.databases:
        path = layout.keys / f"{database.name}.json"
        ports.files.make_directory(layout.keys, mode=0o700)
        ports.files.write(path, keyfile.new(), mode=0o600)
    up(design, ports)


def remove(place: Path, directory: Path) -> None:
    """Stop what runs in `place`, and remove the directory that it lies in."""
    from pgstead.host import facts
    from pgstead.host.supervisor import LocalSupervisor

    if place.exists():
        layout = Layout(PurePosixPath(place), PurePosixPath(directory))
        with suppress(SteadError):
            LocalSupervisor(layout, facts.gather()).shutdown()
    shutil.rmtree(directory, ignore_errors=True)
