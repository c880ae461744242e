"""Barman as a program: called with a configuration of ours, its JSON read, its words passed on.

What it writes to its log stays in `backup/barman.log`.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Generator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from pgstead.errors import BackupError, SteadError
from pgstead.host import (
    backup_info,
    barman_histories,
    barman_log,
    gpg,
    gpg_homes,
    listing,
    plaintext,
    processes,
    programs,
    received,
    seals,
)
from pgstead.model.backup import (
    SERVER,
    BackupPlan,
    Lineage,
    StoredBackup,
    Target,
    TargetKind,
    kilobytes,
)
from pgstead.model.host import BackupTools
from pgstead.model.layout import Layout

_HOURS = 3600.0
_LEAVING = 10.0
_SPARE = 16 * 2**20  # bytes: WAL goes on arriving meanwhile
_LONG = 48 * _HOURS  # a base backup of a large cluster under a rate limit
_GRAVE = re.compile(r"^(ERROR|CRITICAL|EXCEPTION): ?(?P<words>.*)$", re.MULTILINE)
_CAUSE = re.compile(r"checksum verification failed|^\w+: error: ")


class BarmanProgram:
    """`ports.BackupEngine` by Barman."""

    def __init__(self, plan: BackupPlan, tools: BackupTools, layout: Layout, bindir: str) -> None:
        """Keep what it is called with; nothing is looked at yet."""
        self._plan = plan
        self._tools = tools
        self._layout = layout
        self._bindir = bindir

    # -- calling it -----------------------------------------------------------------------------

    def command(self, *arguments: str) -> list[str]:
        """Return the command line of a call."""
        return [*self._tools.launch, "-c", str(self._layout.barman_conf), *arguments]

    def environment(self, home: Path | None = None, room: Path | None = None) -> dict[str, str]:
        """Return the environment of a call.

        What Barman opens passes through temporary files. They are in `room` or else the keyring's
        home, which are removed also where a call was killed.
        """
        found = environment(self._tools, self._bindir)
        if home is not None:
            told = seals.program(home)
            found |= {**gpg_homes.environment(self._tools, home), "TMPDIR": str(home)}
            found["PATH"] = f"{told}:{found['PATH']}"
        return found if room is None else {**found, "TMPDIR": str(room)}

    def _run(
        self,
        *arguments: str,
        timeout: float = 300,
        home: Path | None = None,
        room: Path | None = None,
        gentle: bool = False,
    ) -> programs.Outcome:
        command = self.command(*arguments)
        if (setpriv := shutil.which("setpriv", path="/usr/bin:/bin")) is not None:
            # it ends with us, as after a Ctrl-C: what it was making is failed then, not half done
            command = [setpriv, "--pdeathsig", "INT", "--", *command]
        around, directory = self.environment(home, room), str(self._layout.backup)
        if gentle:
            return programs.run_gently(
                command, environment=around, directory=directory, timeout=timeout
            )
        return programs.run(
            command, environment=around, directory=directory, timeout=timeout, umask=0o077
        )

    def _done(
        self,
        *arguments: str,
        timeout: float = 300,
        home: Path | None = None,
        room: Path | None = None,
        gentle: bool = False,
    ) -> programs.Outcome:
        log = Path(self._layout.backup, "barman.log")
        begun = listing.size_of(log)
        outcome = self._run(*arguments, timeout=timeout, home=home, room=room, gentle=gentle)
        if not outcome.ok:
            words = _words(outcome)
            told = filter(None, (words, barman_log.reasons(log, begun, words)))
            raise BackupError(
                f"barman {arguments[0]} failed: {' / '.join(told)}", hint=f"{log} has all of it"
            )
        return outcome

    @contextmanager
    def _sealing(self) -> Generator[Path | None]:
        """Give a keyring to encrypt with, where that is wanted: the public half is enough."""
        if not self._plan.encrypted:
            yield None
            return
        with gpg.keyring(self._tools, Path(self._plan.key), None) as home:
            yield home

    @contextmanager
    def _opening(self) -> Generator[Path | None]:
        """Give a keyring to decrypt with."""
        if not Path(self._plan.key, gpg.SECRET).exists() and not self._plan.encrypted:
            yield None
            return
        with gpg.keyring(self._tools, Path(self._plan.key), Path(self._plan.passphrase)) as home:
            yield home

    # -- base backups ---------------------------------------------------------------------------

    def backup(self, *, parent: str = "", gentle: bool = False) -> str:
        """Make a base backup, on top of another where one is named; return its name.

        A gentle one begins with a spread checkpoint, takes the CPU that nobody else wants, and
        reads at a rate of its own.
        """
        arguments = ["backup", "--wait", "--wait-timeout", "300"]
        arguments += ["--incremental", parent] if parent else []
        arguments += ["--no-immediate-checkpoint"] if gentle else []
        if gentle and self._plan.gentle_rate:
            arguments += ["--bwlimit", str(kilobytes(self._plan.gentle_rate))]
        there = self.backups()
        self._must_have_room(max((found.size for found in there), default=0))
        before = {found.name for found in there}
        with self._sealing() as home:
            self._done(*arguments, SERVER, timeout=_LONG, home=home, gentle=gentle)
        made = [found for found in self.backups() if found.name not in before]
        if not made:
            raise BackupError("barman made a backup and does not list it")
        return made[-1].name

    def _must_have_room(self, size: int) -> None:
        """Raise BackupError where one as large as those before does not fit.

        It is there twice for a moment: as it was copied, and encrypted.
        """
        free = shutil.disk_usage(self._plan.repository).free
        wanted = size * (2 if self._plan.encrypted else 1) + _SPARE
        if free < wanted:
            raise BackupError(
                f"there is no room in {self._plan.repository}: {wanted // 2**20} MB are needed,"
                f" {free // 2**20} MB are free",
                hint="make room there, or name another place: backup.directory; nothing was begun",
            )

    def backups(self) -> tuple[StoredBackup, ...]:
        """Return what the repository holds, oldest first."""
        return backup_info.everything(self._plan)

    def show(self, name: str) -> StoredBackup:
        """Return one base backup. Raises BackupError where there is none of that name."""
        return backup_info.of(self._plan, name)

    def being_made(self) -> int:
        """Return the bytes that there are of the base backup that is being made."""
        newest = max(listing.within(self._plan.base), default=None)
        if newest is None:
            return 0
        return sum(listing.size_of(path) for path in listing.within(newest / "data"))

    def end_orphans(self) -> None:
        """End what a killed run has started to make a base backup with."""
        processes.end_working_on(Path(self._plan.base), _LEAVING, "pg_basebackup")

    def sums(self, name: str) -> dict[str, str]:
        """Return the SHA-256 of each file of a base backup, by its name."""
        found: dict[str, str] = {}
        for path in sorted(Path(self._plan.base, name, "data").glob("*")):
            if path.is_file():
                with path.open("rb") as file:
                    found[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
        return found

    def delete(self, name: str) -> None:
        """Remove a base backup and the WAL that nobody needs then."""
        self._done("delete", SERVER, name)

    def keep(self, name: str, *, kept: bool) -> None:
        """Keep a base backup whatever its age, or no longer."""
        if kept:
            self._done("keep", "--target", "full", SERVER, name)
        else:
            self._done("keep", "--release", SERVER, name)

    # -- WAL --------------------------------------------------------------------------------------

    def archive(self) -> None:
        """Take the segments that have arrived into the repository, compressed and encrypted."""
        locks = Path(self._layout.backup)
        plaintext.clear(self._plan, locks)  # of a run that was killed
        try:
            with self._sealing() as home:
                self._done("archive-wal", SERVER, timeout=_HOURS, home=home)
        except BaseException:
            with suppress(SteadError):  # the next run does it; this one's error is told
                plaintext.clear(self._plan, locks)
            raise
        plaintext.seal(self._plan, self._tools, locks)
        self._unseal()

    def plain(self) -> tuple[str, ...]:
        """Return the files of an encrypted repository that anybody can read, and should not."""
        told = plaintext.found(self._plan, Path(self._layout.backup), self.backups())
        return tuple(str(path) for path in told)

    def _unseal(self) -> None:
        """Keep history files plain: they tell where a timeline was left, and nothing else."""
        if self._plan.encrypted:
            barman_histories.open_all(self._plan, self._tools, Path(self._layout.backup))

    def has(self, segment: str) -> bool:
        """Return whether a WAL segment is in the repository."""
        return Path(self._plan.wals, segment[:16], segment).exists()

    def check(self) -> tuple[str, ...]:
        """Return what Barman itself finds wrong."""
        with self._sealing() as home:
            outcome = self._run("-f", "json", "check", SERVER, timeout=120, home=home)
        told: dict[str, Any] = _parsed(outcome.out).get(SERVER) or {}
        return tuple(
            f"{name}: {result.get('hint') or 'failed'}"
            for name, result in cast("dict[str, dict[str, str]]", told).items()
            if result.get("status") != "OK"
        )

    # -- recovery ---------------------------------------------------------------------------------

    def restore(self, name: str, place: Path, target: Target, *, staging: Path) -> None:
        """Lay a base backup and the WAL up to a target into an empty directory.

        Nothing is started. Raises BackupError, and leaves what is there for a look.
        """
        arguments = ["restore", "--staging-path", str(staging), "--staging-location", "local"]
        # Barman takes for the latest one the last that a whole segment came of.
        timeline = self._timeline(name, target)
        arguments += ["--partial-wal", "--target-tli", str(timeline)]
        match target.kind:
            case TargetKind.LATEST:
                pass
            case TargetKind.IMMEDIATE:
                arguments.append("--target-immediate")
            case other:
                arguments += [f"--target-{other}", target.value]
        if target.kind is not TargetKind.LATEST:
            arguments += ["--target-action", "pause"]
        if target.exclusive:
            arguments.append("--exclusive")
        staging.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            with self._opening() as home:
                arguments += [SERVER, name, str(place)]
                self._done(*arguments, timeout=_LONG, home=home, room=staging)
                if target.kind is not TargetKind.IMMEDIATE:
                    self._complete(place, timeline, home)
        finally:
            shutil.rmtree(staging, ignore_errors=True)

    def lineage(self, timeline: str = "") -> Lineage:
        """Return a timeline, by its number or the newest, with those that it comes from.

        Raises BackupError for a number of which there is nothing here.
        """
        known = received.timelines(self._plan)
        wanted = int(timeline) if timeline.isdigit() else max(known, default=1)
        if wanted == 1 or wanted not in known:
            if timeline and wanted != 1:
                raise BackupError(
                    f"there is no timeline {wanted} in the repository",
                    hint=f"there are: 1{''.join(f', {n}' for n in sorted(known))}",
                )
            return Lineage(wanted)
        with self._opening() as home:
            told = self._done("get-wal", SERVER, f"{wanted:08X}.history", home=home).out
        return Lineage(wanted, received.parents(told))

    def _timeline(self, name: str, target: Target) -> int:
        """Return the timeline to follow: a backup of a history that was left stays on its own."""
        lineage = self.lineage(target.timeline)
        if not target.timeline and lineage.parents:
            found = self.show(name)
            if not lineage.holds(found.timeline, received.place_of(found.end_lsn)):
                return found.timeline
        return lineage.timeline

    def _complete(self, place: Path, timeline: int, home: Path | None) -> None:
        """Add the WAL that came while the rest was laid out, and the segment that is open.

        Barman adds the open one only where it follows the last that it has of that timeline. What
        arrives goes from the spool into the archive: looked at in that order, nothing is missed.
        """
        folder = place / received.WAL
        if not folder.is_dir():
            return
        received.copy_spool(self._plan, folder, timeline)
        for name in received.archived_since(self._plan, folder, timeline):
            self._done("get-wal", "-o", str(folder), SERVER, name, home=home)

    def forget_open_segment(self) -> None:
        """Receive WAL anew: the segment that was being received is of a history that is over.

        Whole segments are taken into the repository first; the open one is kept beside them.
        """
        self.archive()
        aside = Path(self._plan.abandoned)
        for left in Path(self._plan.streaming).glob("*.partial"):
            aside.mkdir(mode=0o700, exist_ok=True)
            left.rename(aside / f"{left.name}.{datetime.now(UTC):%Y%m%dT%H%M%S}")
        plaintext.seal(self._plan, self._tools, Path(self._layout.backup))


def environment(tools: BackupTools, bindir: str) -> dict[str, str]:
    """Return what Barman needs in its environment."""
    beside = dict.fromkeys([bindir, *(os.path.dirname(p) for p in (tools.rsync, tools.gpg))])  # noqa: PTH120 - text
    found = {"PATH": ":".join([*beside, "/usr/bin", "/bin"]), "HOME": "/nonexistent"}
    if tools.library_path:
        found["LD_LIBRARY_PATH"] = tools.library_path
    return found


def _parsed(text: str) -> dict[str, Any]:
    """Return the JSON of an answer; warnings may stand around it."""
    for line in text.splitlines():
        if line.startswith("{"):
            try:
                return cast("dict[str, Any]", json.loads(line))
            except ValueError:
                continue
    return {}


def _words(outcome: programs.Outcome) -> str:
    """Return what Barman complained of, in a line."""
    grave = [match["words"] for match in _GRAVE.finditer(outcome.words)]
    # what it called says why: which file has a page that is broken, where there is no room
    grave += [line for line in outcome.words.splitlines() if _CAUSE.search(line)]
    lines = grave or [line for line in outcome.words.splitlines() if line.strip()][-3:]
    return " / ".join(" ".join(line.split()) for line in lines)[:500] or "it said nothing"
