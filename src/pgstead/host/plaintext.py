"""What lies plain in a repository whose files are sealed: found, and taken away or sealed.

Barman packs a segment into `SEGMENT.compressed` beside its place, lets gpg seal that, and renames:
what it is killed between is left there, readable. What it cannot place it moves to `errors`, plain.
"""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

from pgstead.host import gpg, listing, received
from pgstead.host.files import problem
from pgstead.model.backup import SERVER, BackupPlan, State, StoredBackup
from pgstead.model.host import BackupTools

_SEGMENT = re.compile(r"^[0-9A-F]{24}$")
# of an archiving run, beside the name that the segment gets in the end
PASSING = re.compile(r"^(?P<segment>[0-9A-F]{24})\.(compressed(\.gpg)?|uncompressed)$")
_NO_ROWS = ("backup_manifest",)  # of a base backup: names and sums
_POLL = 0.05
_PATIENCE = 60.0  # seconds for an archiving run


def found(plan: BackupPlan, locks: Path, stored: tuple[StoredBackup, ...]) -> tuple[Path, ...]:
    """Return the files that hold rows, or pages of them, and can be read by anybody.

    Left out are the spool and a base backup that is being made, whose plaintext is stated; an
    archiving run is waited for. `locks` is Barman's own directory of locks.
    """
    if not plan.encrypted:
        return ()
    unfinished = {one.name for one in stored if one.state in (State.RUNNING, State.WAITING)}
    with archiver_away(locks, patience=_PATIENCE):
        looked_at = [*_segments(plan), *_aside(plan)]
        for backup in listing.within(plan.base):
            if backup.name not in unfinished:
                data = listing.within(backup / "data")
                looked_at += [path for path in data if path.name not in _NO_ROWS]
        return tuple(sorted(path for path in looked_at if _is_plain(path)))


def clear(plan: BackupPlan, locks: Path) -> tuple[Path, ...]:
    """Remove what killed archiving runs left; return the paths.

    Where an archiving run is at work this is left to the next one. Raises StateDirectoryError.
    """
    with archiver_away(locks) as away:
        try:
            return tuple(_removed(plan)) if away else ()
        except OSError as error:
            raise problem(error, Path(plan.wals), "clearing") from error


def seal(plan: BackupPlan, tools: BackupTools, locks: Path) -> tuple[Path, ...]:
    """Seal what was put aside; return the paths.

    Raises HostError where gpg cannot, StateDirectoryError where the disk refuses.
    """
    plain = [path for path in sorted(_aside(plan)) if _is_plain(path)] if plan.encrypted else []
    if not plain:
        return ()
    # an archiving run that goes on would leave it plain, and a verification finds that
    waited = archiver_away(locks, patience=_PATIENCE)
    with waited as away, gpg.keyring(tools, Path(plan.key), None) as home:
        try:
            for path in plain if away else ():
                gpg.encrypt(tools, home, plan.recipient, path, path.with_name(f"{path.name}.gpg"))
                path.unlink()
        except OSError as error:
            raise problem(error, plain[0], "sealing") from error
        return tuple(plain) if away else ()


@contextmanager
def archiver_away(locks: Path, *, patience: float = 0) -> Generator[bool]:
    """Hold Barman's lock of archiving; yields whether it was free within `patience` seconds."""
    path = locks / f".{SERVER}-archive-wal.lock"
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise problem(error, path, "locking") from error
    try:
        end = time.monotonic() + patience
        while not (away := _locked(handle)) and time.monotonic() < end:
            time.sleep(_POLL)
        yield away
    finally:
        os.close(handle)


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _segments(plan: BackupPlan) -> Iterator[Path]:
    """Yield what lies where segments do; history files lie above and hold numbers alone."""
    yield from listing.two_down(plan.wals)


def _aside(plan: BackupPlan) -> Iterator[Path]:
    """Yield what was put aside: by Barman, or because its history is over."""
    yield from Path(plan.errors).glob("*")
    yield from Path(plan.abandoned).glob("*")


def _is_plain(path: Path) -> bool:
    try:
        return path.is_file() and path.stat().st_size > 0 and not gpg.sealed_to(path)
    except FileNotFoundError:
        return False  # let go of while we looked


def _removed(plan: BackupPlan) -> Iterator[Path]:
    """Remove what has its segment beside it, or in the spool still."""
    spool = Path(plan.streaming)
    for path in sorted(_segments(plan)):
        match = PASSING.match(path.name)
        if match is None:
            continue
        kept = path.with_name(match["segment"])
        if (spool / kept.name).is_file() or (kept.is_file() and kept.stat().st_size):
            path.unlink()
            yield path
    yield from _half_placed(plan)


def _half_placed(plan: BackupPlan) -> Iterator[Path]:
    """Remove segments that were placed, and neither listed nor taken out of the spool.

    They are archived once more; left there, Barman takes the spool's for another one and puts it
    aside, and no restore gets it.
    """
    arrived = [p.name for p in Path(plan.streaming).glob("*") if _SEGMENT.match(p.name)]
    if not arrived:
        return
    listed = received.listed(plan)
    for name in arrived:
        path = Path(plan.wals, name[:16], name)
        if name not in listed and path.is_file():
            path.unlink()
            yield path
