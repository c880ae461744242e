"""The composition root: a manifest and this machine become a design and its ports."""

from __future__ import annotations

import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from pgstead.catalog import gaps
from pgstead.cli.console import Console
from pgstead.cli.invocation import Invocation
from pgstead.cli.place import find_manifest, stated_state
from pgstead.errors import (
    HostError,
    ManifestError,
    MissingBackupToolError,
    MissingLibraryError,
    MissingPoolerError,
    MissingServerError,
    OtherMajorError,
    UpgradeError,
)
from pgstead.host import backup_tools, binaries, container, facts, pgbouncer, state
from pgstead.host.migrations import AlembicMigrations
from pgstead.manifest.document import Manifest
from pgstead.manifest.load import load
from pgstead.model.design import Design
from pgstead.model.host import BackupTools, HostFacts, Interpreter, PoolerBuild, ServerBuild
from pgstead.model.layout import Layout

if TYPE_CHECKING:
    from pgstead.host.certificates import Provided
    from pgstead.ports import Ports, Progress
    from pgstead.ports.telemetry import Monitor
    from pgstead.prove.access import Access

MISSING = "missing"  # the origin of a build that stands in for one that was not found
Given = str | PathLike[str] | None
SILENT = Console(Invocation(quiet=True))


@dataclass(frozen=True, slots=True)
class Source:
    """A manifest and the directory that its relative paths start from."""

    manifest: Manifest
    directory: Path
    path: Path | None = None

    @classmethod
    def at(cls, path: Path, directory: Path) -> Source:
        """Read a manifest that is a copy of one in another directory."""
        return cls(_manifest_at(path), directory)


@dataclass(frozen=True, slots=True)
class Ground:
    """The machine, and where on it the state lies. Looked at; nothing was changed."""

    host: HostFacts
    layout: Layout
    identity: state.Identity


@dataclass(frozen=True, slots=True)
class Survey:
    """What this machine offers to a manifest."""

    source: Source
    ground: Ground
    build: ServerBuild
    pooler: PoolerBuild | None
    tools: BackupTools | None = None


@dataclass(frozen=True, slots=True)
class Wired:
    """A design and the adapters that it works with."""

    survey: Survey
    design: Design
    ports: Ports

    @property
    def exists(self) -> bool:
        """An `up` was here."""
        return Path(self.design.layout.identity).exists()

    @property
    def moved(self) -> bool:
        """The state does not lie beside the manifest, because the servers could not enter."""
        layout = self.design.layout
        beside = layout.manifest_directory in layout.state.parents
        return not beside and self.design.host.network is None

    def forget(self) -> None:
        """Remove what `up` left beside the manifest: `.pgstead/`, unless something else is in.

        What keeps it out of git stays for as long as a secret is in it.
        """
        beside = Path(self.design.layout.manifest_directory, state.STATE)
        names = ["location"] if (beside / "secrets").is_dir() else ["location", ".gitignore"]
        for name in names:
            (beside / name).unlink(missing_ok=True)
        for directory in (beside, Path(self.design.layout.state)):
            if directory.is_dir() and not any(directory.iterdir()):
                directory.rmdir()


def read_manifest(given: Given = None) -> Source:
    """Read the manifest that was named, or the nearest one upwards."""
    path = find_manifest(given)
    return Source(_manifest_at(path), path.parent, path)


def _manifest_at(path: Path) -> Manifest:
    """Read a manifest; in a container of ours, as it is meant there."""
    from pgstead.design import containers as designing

    manifest = load(path)
    return designing.inside(manifest) if container.is_ours() else manifest


def refuse_half_upgraded(layout: Layout) -> None:
    """Raise UpgradeError where an upgrade was killed: one server or the other is to be started."""
    from pgstead.host.upgrade_log import UpgradeFiles

    if (pending := UpgradeFiles(layout).pending()) is not None:
        raise UpgradeError(
            f"an upgrade from {pending.old} to {pending.new} was killed ({pending.phase})",
            hint="`pgstead upgrade` finishes it, or takes it back",
        )


def machine_of(manifest: Manifest) -> HostFacts:
    """Look at the machine; in a container of ours it is the one that it was sized for."""
    host = facts.gather(manifest.server.user or None)
    if not container.is_ours():
        return host
    from pgstead.design import containers as designing

    return container.reckoned(host, designing.network(manifest))


def stand(source: Source) -> Ground:
    """Look at the machine and find the state. Raises ForeignStateError for another's."""
    manifest = source.manifest
    host = machine_of(manifest)
    layout = state.locate(source.directory, manifest.state or None, host)
    return Ground(host, layout, state.identify(layout, manifest.name, manifest.server.major))


def survey(source: Source, *, tolerant: bool = False, ground: Ground | None = None) -> Survey:
    """Look for the binaries too. With `tolerant`, missing ones are no reason to stop."""
    manifest = source.manifest
    ground = ground or stand(source)
    build = _server_build(manifest, ground.layout, ground.host, tolerant=tolerant)
    build = replace(build, born=binaries.born(ground.layout) or build.major)
    pooler = _pooler_build(manifest, ground.layout, ground.host, tolerant=tolerant)
    tools = _backup_tools(manifest, ground.layout, tolerant=tolerant)
    return Survey(source, ground, build, pooler, tools)


def _server_build(
    manifest: Manifest, layout: Layout, host: HostFacts, *, tolerant: bool
) -> ServerBuild:
    major = manifest.server.major
    try:
        return binaries.find(manifest.server.bindir or None, major, layout, host)
    except HostError:
        if not tolerant:
            raise
        # What looks or stops must work on a machine whose binaries are gone.
        return ServerBuild(
            major=major,
            version=gaps.newest_server(major),  # as nothing is known, nothing is reported
            bindir="",
            origin=MISSING,
            tls=True,
            io_uring=False,
            lz4=True,
            zstd=True,
            modules=frozenset(),
        )


def _pooler_build(
    manifest: Manifest, layout: Layout, host: HostFacts, *, tolerant: bool
) -> PoolerBuild | None:
    if not manifest.pooler.enabled:
        return None
    try:
        return pgbouncer.find(manifest.pooler.binary or None, layout, host)
    except HostError:
        if not tolerant:
            raise
        return PoolerBuild((999, 0, 0), "", MISSING)


def _backup_tools(manifest: Manifest, layout: Layout, *, tolerant: bool) -> BackupTools | None:
    if not manifest.backup.enabled:
        return None
    try:
        return backup_tools.find(layout, mirrored=manifest.backup.s3 is not None)
    except HostError:
        if not tolerant:
            raise
        return BackupTools(MISSING, sys.executable, "", "rsync", "gpg")


def design_of(
    given: Given = None, progress: Progress = SILENT, *, tolerant: bool = False
) -> Design:
    """Return the design of a manifest on this machine."""
    return designed(survey(read_manifest(given), tolerant=tolerant))


def interpreter() -> Interpreter:
    """Return the Python that this runs by."""
    return Interpreter(sys.executable, (sys.prefix, sys.base_prefix))


def compose(manifest: Manifest | Given = None, *, directory: Given = None) -> Design:
    """Return the design of a manifest, read or to be read (`pgstead.design`)."""
    if not isinstance(manifest, Manifest):
        return design_of(manifest)
    return designed(survey(Source(manifest, Path(directory or ".").resolve())))


def designed(found: Survey) -> Design:
    """Return the design of what was found."""
    from pgstead.design import compose as composing
    from pgstead.render import compose as rendering

    source, ground = found.source, found.ground
    migrations = _migrations(ground.layout)
    heads = {d.name: migrations.heads_of(d.migrations) for d in source.manifest.databases}
    wanted = composing.compose(
        source.manifest,
        replace(ground.host, backup_tools=found.tools),
        found.build,
        found.pooler,
        ground.layout,
        ground.identity.stead_id,
        heads,
        sys.executable,
    )
    return rendering.attach(wanted)


def wire(
    given: Given = None, progress: Progress = SILENT, *, fix: bool = False, tolerant: bool = False
) -> Wired:
    """Put everything together for one command. With `fix`, fetch missing binaries first."""
    source = read_manifest(given)
    found = _survey_fixing(source, progress) if fix else survey(source, tolerant=tolerant)
    return wired_on(found, progress)


def applied_wiring(source: Source) -> Wired:
    """Put together what the last `up` was given, for who runs as long as that is up."""
    return wired_on(survey(source), SILENT)


def wire_to_stop(given: Given, console: Console) -> Wired:
    """Put together what stops a stead: it must stop whatever the manifest says by now.

    Where the manifest is refused, or asks for a version that the cluster is not of yet, the copy
    counts that the last `up` was given.
    """
    try:
        return wire(given, console, tolerant=True)
    except (ManifestError, OtherMajorError) as error:
        path = find_manifest(given)
        layout = state.locate(path.parent, stated_state(path), facts.gather(None))
        copy = Path(layout.applied)
        if not copy.exists():
            raise
        console.warn(f"the manifest is refused ({error.message.splitlines()[0]})")
        console.hint("what the last `up` was given counts instead")
        return wired_on(survey(Source(load(copy), path.parent), tolerant=True), console)


def wired_on(found: Survey, progress: Progress) -> Wired:
    """Put together what a survey found."""
    design = designed(found)
    return Wired(found, design, ports_for(design, progress, found.tools))


def _survey_fixing(source: Source, progress: Progress) -> Survey:
    """Look first: where all is there, nothing is fetched and no time is lost."""
    from pgstead.cli.doctor import fix

    try:
        return survey(source)
    except (
        MissingServerError,
        MissingLibraryError,
        MissingPoolerError,
        MissingBackupToolError,
    ):
        fix(source, progress)
        return survey(source)


def ports_for(
    design: Design, progress: Progress = SILENT, tools: BackupTools | None = None
) -> Ports:
    """Return the adapters for a design."""
    from pgstead.host import machine
    from pgstead.render import host_files

    return machine.ports(
        design,
        units=lambda: host_files.units(design, interpreter()),
        migrations=_migrations(design.layout),
        progress=progress,
        new_keys=_new_keys,
        provided=_provided(design),
        tools=tools,
    )


def _new_keys(prefix: str) -> str:
    """Return a document with first keys, wrapped where a KMS is named."""
    from pgstead.app.encryption import keyfile
    from pgstead.app.encryption.sources import kms_of
    from pgstead.app.environment import process_environment

    return keyfile.new(kms_of(prefix, process_environment()))


def _provided(design: Design) -> Mapping[str, Provided]:
    """Return the certificates that the user brought, by the name of their copy."""
    from pgstead.host.certificates import Provided

    given = design.initial
    found: dict[str, Provided] = {}
    if ca := given.get("tls/ca.crt"):
        found["ca"] = Provided(ca)
    if certificate := given.get("tls/server.crt"):
        pair = Provided(certificate, given.get("tls/server.key"))
        found |= dict.fromkeys(("server", "pooler", "store"), pair)
    return found


def _migrations(layout: Layout) -> AlembicMigrations:
    return AlembicMigrations(Path(layout.manifest_directory), Path(layout.run / "heads.json"))


def access_to(design: Design, ports: Ports | None = None) -> Access:
    """Return what the prover is handed."""
    from pgstead.prove.access import Access

    return Access.found(design, ports or ports_for(design))


def monitor_of(wired: Wired) -> Monitor:
    """Return connections as the monitoring role; also of a stead that nobody watches."""
    from pgstead.host.monitor import MonitorConnections

    return MonitorConnections(wired.design, wired.ports.secrets, "pgstead inspect")


def find_build(given: Given) -> ServerBuild:
    """Return the binaries that the manifest's server runs with."""
    return survey(read_manifest(given)).build


@contextmanager
def locked(wired: Wired) -> Generator[None]:
    """Hold the stead for this command."""
    with state.lock(wired.design.layout):
        yield


@contextmanager
def held(ground: Ground) -> Generator[None]:
    """Hold the stead, its directories made and its identity stored."""
    with state.lock(ground.layout):
        state.prepare(ground.layout, ground.host)
        state.remember(ground.layout, ground.identity)
        yield


@contextmanager
def prepared(wired: Wired) -> Generator[None]:
    """Hold the stead, ready to be brought up; keep a copy of the manifest for who stops it."""
    with held(wired.survey.ground):
        refuse_half_upgraded(wired.design.layout)
        if source := wired.survey.source.path:
            text = source.read_text(encoding="utf-8")
            wired.ports.files.write(wired.design.layout.applied, text, mode=0o644)
        yield
