"""Directories of a moment: what a verification, a drill or an extract works in.

Each has a lock beside it that the kernel lets go of when its process ends, however that ends
(flock(2)); whatever nobody holds was left by a run that was killed, and goes with the next one.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from pgstead.errors import BackupError
from pgstead.host import processes
from pgstead.host.files import problem
from pgstead.host.interrupts import put_off

_KINDS = ("drill", "verify", "extract")
_LOCK = ".lock"
_MB = 2**20
_LEAVING = 10.0  # seconds for what a killed run has started


class ScratchArea:
    """`ports.backup.Scratch` below the state."""

    def __init__(self, directory: PurePosixPath) -> None:
        """Keep where it is."""
        self._directory = Path(directory)

    @contextmanager
    def place(self, kind: str, *, room: int, near: Path | None = None) -> Generator[Path]:
        """Give a directory that is gone afterwards; `room` bytes have to be free.

        It is below the state, or in the directory `near`. Raises BackupError where there is no
        room.
        """
        parent = near or self._directory
        try:
            parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise problem(error, parent, "making") from error
        self.sweep()
        _sweep(parent, kind)
        free = shutil.disk_usage(parent).free
        if free < room:
            raise BackupError(
                f"there is no room in {parent}: {room // _MB} MB are needed, {free // _MB}"
                " MB are free",
                hint="make room there, or name a directory on another file system; nothing was"
                " begun",
            )
        place = parent / f"{kind}-{secrets.token_hex(4)}"
        lock = _lock_of(place)
        handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            place.mkdir(mode=0o711)  # the servers' user goes through it
            yield place
        except OSError as error:
            raise problem(error, place, "working in") from error
        finally:
            with put_off():
                _remove(place, lock)
                os.close(handle)

    def sweep(self) -> tuple[str, ...]:
        """Remove what killed runs left; return the names."""
        return tuple(name for kind in _KINDS for name in _sweep(self._directory, kind))


def _sweep(parent: Path, kind: str) -> tuple[str, ...]:
    places = {
        path.with_name(path.name.removesuffix(_LOCK)) for path in parent.glob(f"{kind}-????????*")
    }
    return tuple(sorted(place.name for place in places if _swept(place)))


def _lock_of(place: Path) -> Path:
    return place.with_name(place.name + _LOCK)


def _remove(place: Path, lock: Path) -> None:
    """Remove a directory; first end what writes into it.

    After a Ctrl-C Barman is gone, and what it unpacks with goes on for a moment.
    """
    processes.end_working_on(place, _LEAVING)
    shutil.rmtree(place, ignore_errors=True)
    lock.unlink(missing_ok=True)


def _swept(place: Path) -> bool:
    lock = _lock_of(place)
    try:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        return False  # the next one tries again
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        _remove(place, lock)
        return True
    finally:
        os.close(handle)
