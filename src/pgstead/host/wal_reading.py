"""The WAL that a restore has laid out: complete, of this cluster, and readable to its end.

Recovery takes whatever it cannot read for the end of the WAL, and says nothing; so a segment that
is missing, altered or another's is looked for before anything starts.
"""

from __future__ import annotations

import itertools
import re
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pgstead.errors import BackupError
from pgstead.host import listing, programs
from pgstead.model.backup import StoredBackup

SEGMENT = re.compile(r"^[0-9A-F]{24}$")
_AGAIN = "make a new base backup now; moments before it are recoverable still"
_STOPPED = re.compile(r"error in WAL record at (?P<lsn>[0-9A-F]+/[0-9A-F]+): (?P<words>.*)")
_AT = re.compile(r" at (?P<lsn>[0-9A-F]+/[0-9A-F]+)")
# How the WAL of a server ends that goes on writing: nothing, or what an older segment left.
_END = ("invalid record length", "record with incorrect prev-link", "invalid magic number",
        "unexpected pageaddr", "record length", "could not find")  # fmt: skip
# Of the first page of a segment (src/include/access/xlog_internal.h, XLogLongPageHeaderData):
# magic, flags, timeline, address, bytes of a record from before, system, bytes of a segment.
_HEADER = struct.Struct("<HHIQI4xQII")


@dataclass(frozen=True, slots=True)
class _Stretch:
    """WAL of one timeline."""

    timeline: int
    begin: int
    end: int | None  # None: as far as it goes


def stored(folders: Sequence[Path], found: StoredBackup) -> tuple[str, ...]:
    """Return the whole segments that a repository has, from a backup's first one on.

    Raises BackupError for one that is missing between them, or that is empty.
    """
    there = (path for folder in folders for path in listing.files_below(folder))
    paths = {path.name: path for path in there if SEGMENT.match(path.name)}
    first = found.begin_wal[8:]
    names = sorted(name for name in paths if name[8:] >= first)
    empty = [name for name in names if _is_empty(paths[name])]
    if empty:
        raise BackupError(f"the WAL segment {empty[0]} is empty", hint=_AGAIN)
    wanted = _leading(names)
    if wanted:
        _without_gap(wanted, found.segment, found)
    return tuple(wanted)


def _is_empty(path: Path) -> bool:
    try:
        return path.stat().st_size == 0
    except FileNotFoundError:  # let go of while we looked; a gap would tell
        return False


def _leading(names: Sequence[str]) -> list[str]:
    """Return those that lead to the newest timeline: of an older one, what no newer one has."""
    starts: dict[int, str] = {}
    for name in names:
        timeline = int(name[:8], 16)
        starts[timeline] = min(starts.get(timeline, name[8:]), name[8:])

    def leads(name: str) -> bool:
        later = [start for timeline, start in starts.items() if timeline > int(name[:8], 16)]
        return not later or name[8:] < min(later)

    return sorted((name for name in names if leads(name)), key=lambda name: name[8:])


def read(
    folder: Path,
    found: StoredBackup,
    wanted: Sequence[str],
    dump: Callable[..., programs.Outcome],
) -> tuple[int, str]:
    """Read every WAL record from a backup on; return the segments, and where the last record is.

    `wanted` are the names that must be there, whole. Raises BackupError that names the segment or
    the place that is wrong.
    """
    names = sorted(path.name for path in folder.glob("*") if SEGMENT.match(path.name))
    absent = sorted(set(wanted) - set(names))
    if absent:
        raise _left_out(absent[0], {name[:8] for name in names}, found)
    if not names:
        return 0, ""
    size = found.segment
    _look_at(folder, names, set(wanted), found)
    _without_gap(names, size, found)
    last = ""
    for stretch in _stretches(folder, names, size, found):
        last = _read(folder, stretch, names, size, set(wanted), dump)
    return len(names), last


def _left_out(name: str, timelines: set[str], found: StoredBackup) -> BackupError:
    """Say why a segment that lies in the repository was not laid out."""
    begin = f"the WAL segment {name} lies in the repository and is not restored:"
    if name[:8] not in timelines and int(name[:8], 16) > found.timeline:
        return BackupError(
            f"{begin} the history file {name[:8]}.history does not lead there from timeline"
            f" {found.timeline}, which {found.name} is of",
            hint="it is missing, or was altered; make a new base backup now",
        )
    return BackupError(
        f"{begin} its line in xlog.db is gone or altered",
        hint="`barman rebuild-xlogdb` writes it anew; make a new base backup then",
    )


def _look_at(folder: Path, names: list[str], wanted: set[str], found: StoredBackup) -> None:
    """Look at how each segment begins. Raises BackupError that names the one that is wrong."""
    anything = False
    for name in names:
        path = folder / name
        with path.open("rb") as file:
            head = file.read(_HEADER.size)
        if name not in wanted and not any(head):
            continue  # the open one, and nothing of it has come yet
        _judge(name, path.stat().st_size, head, found, whole=name in wanted)
        anything = True
    if not anything:
        raise BackupError("no segment of the WAL has anything in it", hint=_AGAIN)


def _judge(name: str, length: int, head: bytes, found: StoredBackup, *, whole: bool) -> None:
    if len(head) < _HEADER.size:
        raise BackupError(f"the WAL segment {name} is cut off: {length} bytes", hint=_AGAIN)
    _, _, timeline, address, _, system, size, _ = _HEADER.unpack(head)
    if found.system_id and str(system) != found.system_id:
        raise BackupError(
            f"the WAL segment {name} is another cluster's: its system is {system}, not"
            f" {found.system_id}",
            hint=_AGAIN,
        )
    if size != found.segment:
        raise BackupError(
            f"the WAL segment {name} is of a server with segments of {size} bytes, and"
            f" {found.name} of one with {found.segment}",
            hint="somebody changed --wal-segsize since: make a new base backup now",
        )
    if address != place_of(name, size):
        raise BackupError(
            f"the WAL segment {name} holds other WAL than its name says: it begins at"
            f" {written(address)}",
            hint=_AGAIN,
        )
    if timeline > int(name[:8], 16):
        raise BackupError(f"the WAL segment {name} is of timeline {timeline}", hint=_AGAIN)
    if whole and length != size:
        raise BackupError(
            f"the WAL segment {name} is cut off: {length} of {size} bytes", hint=_AGAIN
        )


def _without_gap(names: list[str], size: int, found: StoredBackup) -> None:
    """Raise BackupError where a segment between the first and the last is missing."""
    numbers = sorted({place_of(name, size) // size for name in names})
    if found.begin_wal and place_of(found.begin_wal, size) // size < numbers[0]:
        raise _too_late(found)
    for before, after in itertools.pairwise(numbers):
        if after != before + 1:
            missing = (before + 1) * size
            raise BackupError(
                f"WAL is missing from {written(missing)} on, the segment"
                f" {_named(missing, size)}: recovery would end there",
                hint=_AGAIN,
            )


def _too_late(found: StoredBackup) -> BackupError:
    return BackupError(
        f"the WAL of {found.name} begins too late: {found.begin_wal} is missing",
        hint="it cannot be restored; make a new base backup now",
    )


def _stretches(
    folder: Path, names: list[str], size: int, found: StoredBackup
) -> Iterator[_Stretch]:
    """Yield the timelines that lead from the backup to the newest one (its history file)."""
    newest = max(int(name[:8], 16) for name in names)
    begin = number(found.begin_lsn)
    if newest != found.timeline:
        for timeline, switch in _history(folder / f"{newest:08X}.history", found):
            # The segment in which it ended may be there as one of the next timeline alone.
            own = [place_of(n, size) + size for n in names if int(n[:8], 16) == timeline]
            end = min(switch, max(own, default=begin))
            if end > begin:
                yield _Stretch(timeline, begin, end)
                begin = end
    yield _Stretch(newest, begin, None)


def _history(path: Path, found: StoredBackup) -> Iterator[tuple[int, int]]:
    """Yield the timelines from the backup's on, and where each ended. Raises BackupError."""
    if not path.is_file():
        raise BackupError(
            f"the history of a timeline is missing: {path.name}",
            hint="recovery would not find its way from the backup's timeline; make a new base"
            " backup now",
        )
    told = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
    lines = [(int(p[0]), number(p[1])) for p in told if len(p) >= 2 and p[0].isdigit()]
    if found.timeline not in {timeline for timeline, _ in lines}:
        raise BackupError(
            f"{path.name} does not lead from timeline {found.timeline}, which {found.name} is of",
            hint="make a new base backup now",
        )
    yield from (line for line in lines if line[0] >= found.timeline)


def _read(
    folder: Path,
    stretch: _Stretch,
    names: list[str],
    size: int,
    wanted: set[str],
    dump: Callable[..., programs.Outcome],
) -> str:
    own = [name for name in names if int(name[:8], 16) == stretch.timeline]
    end = stretch.end
    if end is None and own and own[-1] in wanted:
        # It is whole, so it is read to its end; without an end pg_waldump waits for the next.
        end = place_of(own[-1], size) + size
    arguments = ["--quiet", "--path", str(folder), "--timeline", str(stretch.timeline)]
    arguments += ["--start", written(stretch.begin)]
    if end is not None:
        arguments += ["--end", written(end)]
    outcome = dump(*arguments)
    if outcome.ok:
        return written(end or stretch.begin)
    match = _STOPPED.search(outcome.err)
    if match is None or end is not None:
        raise _unreadable(outcome, "" if match is None else match["lsn"], stretch.timeline, size)
    at = _AT.search(match["words"])
    stopped = number((at or match)["lsn"])
    natural = any(words in match["words"] for words in _END)
    if not natural or stopped < (place_of(own[-1], size) if own else 0):
        raise _unreadable(outcome, match["lsn"], stretch.timeline, size)
    return match["lsn"]


def _unreadable(outcome: programs.Outcome, lsn: str, timeline: int, size: int) -> BackupError:
    words = " ".join(outcome.err.split())[-300:]
    where = ""
    if lsn:
        segment = f"{timeline:08X}{_named(number(lsn), size).removeprefix('...')}"
        where = f" after {lsn}, in the segment {segment}"
    return BackupError(
        f"the WAL cannot be read{where}: {words}",
        hint="recovery would end there, in silence; make a new base backup now",
    )


def place_of(segment: str, size: int) -> int:
    """Return the first byte that a segment holds."""
    per_log = 2**32 // size
    return (int(segment[8:16], 16) * per_log + int(segment[16:], 16)) * size


def _named(place: int, size: int) -> str:
    """Return how a segment's name ends, whatever its timeline."""
    per_log = 2**32 // size
    return f"...{place // size // per_log:08X}{place // size % per_log:08X}"


def number(lsn: str) -> int:
    """Return a place in the WAL as its bytes."""
    high, _, low = lsn.partition("/")
    return (int(high, 16) << 32) + int(low, 16)


def written(place: int) -> str:
    """Return a place in the WAL as PostgreSQL writes it."""
    return f"{place >> 32:X}/{place & 0xFFFFFFFF:X}"
