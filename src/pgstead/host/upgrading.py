"""The two data directories of an upgrade: made, upgraded, swapped, and taken back."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path, PurePosixPath

from pgstead.errors import UpgradeError
from pgstead.host import pg_upgrade, programs, state, statistics
from pgstead.host.cluster import DataDirectory
from pgstead.host.files import LocalFiles, problem, sync_directory
from pgstead.host.pg_upgrade import PgUpgrade
from pgstead.host.upgrade_log import BEFORE, UpgradeFiles
from pgstead.model.backup import SERVER
from pgstead.model.design import Design
from pgstead.model.host import ServerBuild
from pgstead.model.resources import Cluster
from pgstead.model.upgrade import Ground, Mode, Upgrade

NEXT = "data.next"  # the new cluster, until pg_upgrade is done with it
_TO_FLUSH = 3600.0  # seconds; what is not written by then is written while nobody is served
_SEGMENT = re.compile(r"^Bytes per WAL segment:\s*(\d+)", re.MULTILINE)
_LINKED = PurePosixPath("global/pg_control.old")  # what pg_upgrade makes of it before it links


class LocalUpgrade:
    """`ports.UpgradeHost` on this machine."""

    def __init__(self, old: Design, new: Design, manifest: str) -> None:
        """Keep what is upgraded to what, and the text of the manifest that wants it."""
        self._old, self._new = old, new
        self._layout = new.layout
        self._manifest = manifest
        self._files = LocalFiles(self._layout.state)
        self._data = Path(self._layout.data)
        self._next = Path(self._layout.server / NEXT)
        self.log = UpgradeFiles(self._layout)

    @property
    def _program(self) -> PgUpgrade:
        return PgUpgrade(self._old, self._new, self._data, self._next)

    # -- looking --------------------------------------------------------------------------------

    def ground(self) -> Ground:
        """Look at the machine. Raises HostError."""
        user = self._new.host.server_user
        try:
            free = shutil.disk_usage(self._layout.server).free
            apart = self._data.stat().st_dev != self._data.parent.stat().st_dev
        except OSError as error:
            raise problem(error, self._layout.server, "looking for room in") from error
        available = pg_upgrade.extensions(self._new.build, user)
        return Ground(free, self._clones(), available, apart)

    def _clones(self) -> bool:
        """Say whether files of the data directory can share their blocks with a copy."""
        user = self._new.host.server_user
        probe = str(self._next.with_name("clone.probe"))
        source = str(self._data / "PG_VERSION")
        done = programs.run(["cp", "--reflink=always", source, probe], user=user)
        programs.run(["rm", "-f", probe], user=user)
        return done.ok

    # -- the new cluster ------------------------------------------------------------------------

    def prepare(self, cluster: Cluster) -> None:
        """Make the new cluster beside the old one. Raises InitializationError."""
        self.discard()
        self.make(self._next, self._data, cluster)

    def make(self, place: Path, source: Path, cluster: Cluster) -> None:
        """Run initdb for what a data directory is upgraded into."""
        made = DataDirectory(self._layout, self._new.host, self._new.build, self._new.stead_id)
        wanted = replace(cluster, major=self._new.build.major)
        segment = segment_size(self._old.build, source, self._new.host.server_user)
        made.initialize_beside(PurePosixPath(place), wanted, self._new, segment=segment)

    def check(self, mode: Mode) -> None:
        """Have pg_upgrade look at the running server. Raises UpgradeError with its words.

        Not in containers: that the server runs it finds out by starting one, which the process
        number in postmaster.pid keeps it from, and that is another container's. It looks at all
        of it again when that is stopped, before it changes anything.
        """
        if self._new.host.network is None:
            self._program.check(mode)

    def flush(self) -> None:
        """Have on the disk what was written so far.

        A base backup beside the data directory is gigabytes that no checkpoint writes; the disk
        would be busy with them while pg_upgrade waits for its own files.
        """
        programs.run(["sync", "-f", str(self._layout.server)], timeout=_TO_FLUSH)

    def run(self, mode: Mode) -> None:
        """Upgrade what is stopped. Raises UpgradeError with pg_upgrade's words."""
        self._program.run(mode)

    def discard(self) -> None:
        """Remove the new cluster, end what works on either, and leave the old one startable."""
        pg_upgrade.end_strays(self._data, self._next)
        pg_upgrade.sweep(Path(self._layout.server))
        linked = self._data / _LINKED
        whole = linked.with_suffix("")
        # as the manual says of an old cluster whose new one was never started
        if linked.exists() and not whole.exists():
            linked.rename(whole)
        if self._next.exists():
            self._files.remove(PurePosixPath(self._next))

    # -- names ----------------------------------------------------------------------------------

    def swap(self, upgrade: Upgrade) -> None:
        """Give the new data directory its name; done already, or in part, is no error."""
        kept = self._data.with_name(upgrade.kept)
        try:
            if self._next.exists():
                pg_upgrade.forget(self._files, self._next)
                if self._data.exists() and not kept.exists():
                    self._data.rename(kept)
                self._next.rename(self._data)
            sync_directory(self._layout.server)
        except OSError as error:
            raise problem(error, self._data, "placing") from error

    def unswap(self, upgrade: Upgrade) -> None:
        """Give the old data directory its name back; the new one is removed."""
        kept = self._data.with_name(upgrade.kept)
        try:
            if kept.exists():
                if self._data.exists():
                    self._data.rename(self._next)
                kept.rename(self._data)
            sync_directory(self._layout.server)
        except OSError as error:
            raise problem(error, self._data, "placing") from error
        self.discard()

    def remember(self, upgrade: Upgrade, *, back: bool = False) -> None:
        """Have state and manifest say which version counts from now on; killed, do it again.

        The state is what tells how far it came: it changes before the manifest on the way up,
        and after it on the way back.
        """
        layout, known = self._layout, state.stored(self._layout)
        reached = (upgrade.old if back else upgrade.new).major
        if back and known is not None and known.major == reached:
            return
        if back:
            self._put_manifest(layout.upgrade / BEFORE, layout.applied)
        elif known is None or known.major == upgrade.old.major:
            # else a killed run has come further, and what counts now is the new one
            self._put_manifest(layout.applied, layout.upgrade / BEFORE)
        if known is not None:
            state.remember(layout, replace(known, major=reached))
        if not back:
            self._files.write(layout.applied, self._manifest, mode=0o644)

    def _put_manifest(self, source: PurePosixPath, target: PurePosixPath) -> None:
        found = self._files.read(source)
        self._files.write(target, self._manifest if found is None else found.text, mode=0o644)

    # -- statistics -----------------------------------------------------------------------------

    def first_statistics(self) -> None:
        """Make what the planner must not be without; what was carried over stays."""
        statistics.first(self._new)

    def all_statistics(self) -> None:
        """Make the statistics anew, while all are served."""
        statistics.everything(self._new)

    # -- backups --------------------------------------------------------------------------------

    def set_aside(self, upgrade: Upgrade) -> str:
        """Put what was backed up of the old cluster aside; return where it is, or nothing.

        Barman keeps one system by its identifier, and pg_upgrade gives another one.
        """
        plan = self._new.backup
        if plan is None:
            return ""
        place, aside = Path(plan.repository, SERVER), Path(plan.repository, upgrade.aside)
        try:
            if place.exists() and not aside.exists():
                aside.mkdir(mode=0o700)
                place.rename(aside / SERVER)
        except OSError as error:
            raise problem(error, aside, "setting aside") from error
        return str(aside)

    def bring_back(self, upgrade: Upgrade) -> None:
        """Put what was set aside in the place of what was backed up since."""
        plan = self._new.backup
        if plan is None or not upgrade.aside:
            return
        place, aside = Path(plan.repository, SERVER), Path(plan.repository, upgrade.aside)
        if not (aside / SERVER).exists():
            return
        try:
            if place.exists():
                since = place.with_name(f"{upgrade.aside}-left")
                shutil.rmtree(since, ignore_errors=True)
                since.mkdir(mode=0o700)
                place.rename(since / SERVER)
            (aside / SERVER).rename(place)
            aside.rmdir()
        except OSError as error:
            raise problem(error, place, "bringing back") from error


def segment_size(build: ServerBuild, data: Path, user: str) -> int:
    """Return the bytes of a WAL segment of a data directory. Raises UpgradeError."""
    library = build.library_path
    told = programs.run(
        [str(Path(build.bindir, "pg_controldata")), "-D", str(data)],
        user=user,
        environment={"LD_LIBRARY_PATH": library} if library else None,
    )
    match = _SEGMENT.search(told.out)
    if match is None:
        raise UpgradeError(
            f"pg_controldata cannot read {data}: {told.words}",
            hint="`pgstead status` says whether the stead is well",
        )
    return int(match[1])
