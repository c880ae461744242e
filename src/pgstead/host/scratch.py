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
from pgstead.host.files import problem

_KINDS = ("drill", "verify", "extract")
_MB = 2**20


class ScratchArea:
    """`ports.backup.Scratch` below the state."""

    def __init__(self, directory: PurePosixPath) -> None:
        """Keep where it is."""
        self._directory = Path(directory)

    @contextmanager
    def place(self, kind: str, *, room: int) -> Generator[Path]:
        """Give a directory that is gone afterwards; `room` bytes have to be free.

        Raises BackupError where they are not.
        """
        self.sweep()
        free = shutil.disk_usage(self._directory).free
        if free < room:
            raise BackupError(
                f"there is no room in {self._directory}: {room // _MB} MB are needed, {free // _MB}"
                " MB are free",
                hint="make room there; nothing was begun",
            )
        place = self._directory / f"{kind}-{secrets.token_hex(4)}"
        lock = _lock_of(place)
        handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            place.mkdir(mode=0o711)  # the servers' user goes through it
            yield place
        except OSError as error:
            raise problem(error, place, "working in") from error
        finally:
            shutil.rmtree(place, ignore_errors=True)
            lock.unlink(missing_ok=True)
            os.close(handle)

    def sweep(self) -> tuple[str, ...]:
        """Remove what killed runs left; return the names."""
        found = [p for kind in _KINDS for p in sorted(self._directory.glob(f"{kind}-*"))]
        places = {path.with_suffix("") for path in found}
        return tuple(sorted(place.name for place in places if _swept(place)))


def _lock_of(place: Path) -> Path:
    return place.with_suffix(".lock")


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
        shutil.rmtree(place, ignore_errors=True)
        lock.unlink(missing_ok=True)
        return True
    finally:
        os.close(handle)
