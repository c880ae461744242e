"""What a restore has laid out, looked at with PostgreSQL's own programs before anything starts."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pgstead.errors import BackupError
from pgstead.host import programs
from pgstead.model.backup import BackupPlan, StoredBackup
from pgstead.model.host import ServerBuild

WAL = "barman_wal"  # where Barman puts the segments, below the data directory
# What Barman writes anew: settings of recovery, and the files that it took them out of.
_REWRITTEN = (
    "postgresql.auto.conf", "postgresql.auto.conf.origin", "postgresql.conf",
    "postgresql.conf.origin", "recovery.signal", "tablespace_map", WAL, ".barman-recover.info",
)  # fmt: skip
_LONG = 24 * 3600.0
_SEGMENT = re.compile(r"^[0-9A-F]{24}$")
_STOPPED = re.compile(r"error in WAL record at (?P<lsn>[0-9A-F]+/[0-9A-F]+): (?P<words>.*)")
# How the WAL of a server ends that goes on writing: nothing, or what an older segment left.
_END = ("invalid record length", "record with incorrect prev-link", "invalid magic number",
        "unexpected pageaddr", "record length", "could not find")  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Stretch:
    """WAL of one timeline."""

    timeline: int
    begin: int
    end: int | None  # None: as far as it goes


class RestoredFiles:
    """`ports.RestoredFiles` by pg_verifybackup and pg_waldump."""

    def __init__(self, plan: BackupPlan, build: ServerBuild) -> None:
        """Keep what is asked."""
        self._plan = plan
        self._build = build

    def _run(self, name: str, *arguments: str) -> programs.Outcome:
        library = self._build.library_path
        return programs.run(
            [str(Path(self._build.bindir, name)), *arguments],
            environment={"LD_LIBRARY_PATH": library} if library else None,
            timeout=_LONG,
        )

    def verify(self, place: Path, found: StoredBackup) -> int:
        """Compare every file with the manifest; return how many. Raises BackupError."""
        source = Path(self._plan.base, found.name, "data")
        manifest = source / "backup_manifest"
        # where nothing is compressed Barman leaves a copy of it under the name of the backup
        copies = [path.name for path in place.glob("backup_manifest.*")]
        ignored = [part for name in (*_REWRITTEN, *copies) for part in ("--ignore", name)]
        # what was combined of an incremental one has no manifest: its own files are looked at
        looked_at = source if found.parent else place
        outcome = self._run(
            "pg_verifybackup", "--no-parse-wal", "--manifest-path", str(manifest), *ignored,
            str(looked_at),
        )  # fmt: skip
        if not outcome.ok:
            told = [line.partition("error: ")[2] for line in outcome.err.splitlines()]
            words = "; ".join(line for line in told if line) or outcome.words
            raise BackupError(
                f"{found.name} is not what was copied: {words[:500]}",
                hint="make a new one; restore from an older one",
            )
        return len(json.loads(manifest.read_text(encoding="utf-8"))["Files"])

    def read_wal(self, place: Path, found: StoredBackup) -> tuple[int, str]:
        """Read every WAL record from the backup on; return the segments, and where it ends.

        Raises BackupError where a segment is missing or a record cannot be read before the end.
        """
        folder = place / WAL
        segments = sorted(path.name for path in folder.glob("*") if _SEGMENT.match(path.name))
        if not segments:
            return 0, ""
        size = (folder / segments[0]).stat().st_size
        _without_gap(segments, size, found)
        last = ""
        for stretch in _stretches(folder, segments, found):
            last = self._read(folder, stretch, segments, size)
        return len(segments), last

    def _read(self, folder: Path, stretch: _Stretch, segments: list[str], size: int) -> str:
        arguments = ["--quiet", "--path", str(folder), "--timeline", str(stretch.timeline)]
        arguments += ["--start", _written(stretch.begin)]
        if stretch.end is not None:
            arguments += ["--end", _written(stretch.end)]
        outcome = self._run("pg_waldump", *arguments)
        if outcome.ok:
            return _written(stretch.end or stretch.begin)
        match = _STOPPED.search(outcome.err)
        own = [name for name in segments if int(name[:8], 16) == stretch.timeline]
        edge = _place_of(own[-1], size) if own else 0
        if match is None or stretch.end is not None:
            raise _unreadable(outcome, "")
        stopped = _number(match["lsn"])
        natural = any(words in match["words"] for words in _END)
        if not natural or stopped < edge:
            raise _unreadable(outcome, match["lsn"])
        return match["lsn"]


def _unreadable(outcome: programs.Outcome, lsn: str) -> BackupError:
    words = " ".join(outcome.err.split())[-300:]
    where = f" at {lsn}" if lsn else ""
    return BackupError(
        f"the WAL cannot be read{where}: {words}",
        hint="recovery would end there, in silence; make a new base backup now",
    )


def _without_gap(segments: list[str], size: int, found: StoredBackup) -> None:
    """Raise BackupError where a segment between the first and the last is missing."""
    numbers = sorted({_place_of(name, size) // size for name in segments})
    if found.begin_wal and _place_of(found.begin_wal, size) // size < numbers[0]:
        raise BackupError(
            f"the WAL of {found.name} begins too late: {found.begin_wal} is missing",
            hint="it cannot be restored; make a new base backup now",
        )
    for before, after in itertools.pairwise(numbers):
        if after != before + 1:
            missing = (before + 1) * size
            raise BackupError(
                f"WAL is missing from {_written(missing)} on: recovery would end there",
                hint="make a new base backup now; moments before it are recoverable still",
            )


def _stretches(folder: Path, segments: list[str], found: StoredBackup) -> Iterator[_Stretch]:
    """Yield the timelines that lead from the backup to the newest one (its history file)."""
    newest = max(int(name[:8], 16) for name in segments)
    history = folder / f"{newest:08X}.history"
    begin = _number(found.begin_lsn)
    if newest != found.timeline and history.is_file():
        for line in history.read_text(encoding="utf-8").splitlines():
            parts = line.split()
            if len(parts) < 2 or not parts[0].isdigit() or int(parts[0]) < found.timeline:
                continue
            end = _number(parts[1])
            yield _Stretch(int(parts[0]), begin, end)
            begin = end
    yield _Stretch(newest, begin, None)


def _place_of(segment: str, size: int) -> int:
    """Return the first byte that a segment holds."""
    per_log = 2**32 // size
    return (int(segment[8:16], 16) * per_log + int(segment[16:], 16)) * size


def _number(lsn: str) -> int:
    high, _, low = lsn.partition("/")
    return (int(high, 16) << 32) + int(low, 16)


def _written(place: int) -> str:
    return f"{place >> 32:X}/{place & 0xFFFFFFFF:X}"
