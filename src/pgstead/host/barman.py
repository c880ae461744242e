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
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from pgstead.errors import BackupError
from pgstead.host import barman_histories, gpg, programs
from pgstead.model.backup import SERVER, BackupPlan, State, StoredBackup, Target, TargetKind
from pgstead.model.host import BackupTools
from pgstead.model.layout import Layout

_HOURS = 3600.0
_LONG = 48 * _HOURS  # a base backup of a large cluster under a rate limit
_STATES = {
    "DONE": State.DONE,
    "FAILED": State.FAILED,
    "WAITING_FOR_WALS": State.WAITING,
    "STARTED": State.RUNNING,
    "SYNCING": State.RUNNING,
    "EMPTY": State.RUNNING,
}
_GRAVE = re.compile(r"^(ERROR|CRITICAL|EXCEPTION): ?(?P<words>.*)$", re.MULTILINE)


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

    def environment(self, home: Path | None = None) -> dict[str, str]:
        """Return the environment of a call."""
        found = environment(self._tools, self._bindir)
        return found if home is None else {**found, **gpg.environment(self._tools, home)}

    def _run(
        self, *arguments: str, timeout: float = 300, home: Path | None = None
    ) -> programs.Outcome:
        return programs.run(
            self.command(*arguments),
            environment=self.environment(home),
            directory=str(self._layout.backup),
            timeout=timeout,
            umask=0o077,
        )

    def _done(
        self, *arguments: str, timeout: float = 300, home: Path | None = None
    ) -> programs.Outcome:
        outcome = self._run(*arguments, timeout=timeout, home=home)
        if not outcome.ok:
            raise BackupError(
                f"barman {arguments[0]} failed: {_words(outcome)}",
                hint=f"{self._layout.backup / 'barman.log'} has all of it",
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

    def backup(self, *, parent: str = "") -> str:
        """Make a base backup, on top of another where one is named; return its name."""
        arguments = ["backup", "--wait", "--wait-timeout", "300"]
        arguments += ["--incremental", parent] if parent else []
        before = {found.name for found in self.backups()}
        with self._sealing() as home:
            self._done(*arguments, SERVER, timeout=_LONG, home=home)
        made = [found for found in self.backups() if found.name not in before]
        if not made:
            raise BackupError("barman made a backup and does not list it")
        return made[-1].name

    def backups(self) -> tuple[StoredBackup, ...]:
        """Return what the repository holds, oldest first."""
        told = self._json("list-backups", SERVER)
        names = [str(entry["backup_id"]) for entry in told.get(SERVER, ())]
        return tuple(self.show(name) for name in sorted(names))

    def show(self, name: str) -> StoredBackup:
        """Return one base backup. Raises BackupError where there is none of that name."""
        told: dict[str, Any] = self._json("show-backup", SERVER, name).get(SERVER) or {}
        base: dict[str, Any] = told.get("base_backup_information") or {}
        catalog: dict[str, Any] = told.get("catalog_information") or {}
        wal: dict[str, Any] = told.get("wal_information") or {}
        begun = base.get("begin_time_timestamp")
        ended = base.get("end_time_timestamp")
        parent = str(catalog.get("parent_backup_id") or "").strip("- ")
        return StoredBackup(
            name=name,
            state=_STATES.get(str(told.get("status")), State.FAILED),
            kind="incremental" if told.get("backup_type") == "incremental" else "full",
            parent=parent,
            begun=_moment(begun),
            ended=_moment(ended),
            size=int(base.get("backup_size_bytes") or 0),
            wal_size=int(base.get("wal_size_bytes") or 0) + int(wal.get("disk_usage_bytes") or 0),
            cluster_size=int(told.get("cluster_size_bytes") or 0),
            begin_lsn=str(base.get("begin_lsn") or ""),
            end_lsn=str(base.get("end_lsn") or ""),
            begin_wal=str(base.get("begin_wal") or ""),
            end_wal=str(base.get("end_wal") or ""),
            timeline=int(base.get("timeline") or 0),
            system_id=str(told.get("system_id") or ""),
            major=int(told.get("postgresql_version") or 0) // 10_000,
            encrypted=str(base.get("encryption") or "").lower() == "gpg",
            error=str(told.get("error") or base.get("error") or ""),
        )

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
        with self._sealing() as home:
            self._done("archive-wal", SERVER, timeout=_HOURS, home=home)

    def switch(self) -> None:
        """Close the WAL segment that is open now, and wait until it has arrived."""
        with self._sealing() as home:
            self._done("switch-wal", "--force", "--archive", SERVER, timeout=120, home=home)

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
        arguments += ["--partial-wal", "--target-tli", target.timeline or "latest"]
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
                self._done(*arguments, SERVER, name, str(place), timeout=_LONG, home=home)
        finally:
            shutil.rmtree(staging, ignore_errors=True)

    def forget_open_segment(self) -> None:
        """Receive WAL anew: the segment that was being received is of a history that is over.

        Whole segments are taken into the repository first; the open one is kept beside them.
        """
        self.archive()
        aside = Path(self._plan.repository, "abandoned")
        for left in Path(self._plan.streaming).glob("*.partial"):
            aside.mkdir(mode=0o700, exist_ok=True)
            left.rename(aside / f"{left.name}.{datetime.now(UTC):%Y%m%dT%H%M%S}")

    def _json(self, *arguments: str) -> dict[str, Any]:
        if self._plan.encrypted:
            barman_histories.open_all(self._plan, self._tools, Path(self._layout.backup))
        outcome = self._done("-f", "json", *arguments)
        found = _parsed(outcome.out)
        if not found:
            raise BackupError(f"barman {arguments[0]} told nothing: {_words(outcome)}")
        return found


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
    lines = grave or [line for line in outcome.words.splitlines() if line.strip()][-3:]
    return " / ".join(" ".join(line.split()) for line in lines)[:500] or "it said nothing"


def _moment(told: object) -> datetime | None:
    try:
        return datetime.fromtimestamp(float(str(told)), UTC)
    except ValueError:
        return None
