"""Whose turn it is at the repository: between the agent and commands, across processes.

The kernel lets go of a lock when its process ends, however that ends (flock(2)).
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from pgstead.errors import BusyError
from pgstead.host.files import problem
from pgstead.ports import Progress

_POLL = 0.1


class Turns:
    """`ports.backup.Turns` by locks on files."""

    def __init__(self, directory: PurePosixPath, progress: Progress) -> None:
        """Keep where the locks lie, and whom to tell of waiting."""
        self._directory = Path(directory)
        self._progress = progress

    @contextmanager
    def making(self, *, patience: float) -> Generator[None]:
        """Be the only one who makes a base backup. Raises BusyError."""
        with self._held("making.lock", fcntl.LOCK_EX, patience):
            yield

    @contextmanager
    def reading(self, *, patience: float) -> Generator[None]:
        """Read the repository: nothing in it is let go of meanwhile. Raises BusyError."""
        with self._held("reading.lock", fcntl.LOCK_SH, patience):
            yield

    @contextmanager
    def letting_go(self, *, patience: float) -> Generator[None]:
        """Be alone with the repository. Raises BusyError."""
        with self._held("reading.lock", fcntl.LOCK_EX, patience):
            yield

    @contextmanager
    def exporting(self, *, patience: float) -> Generator[None]:
        """Be the only one who makes logical dumps. Raises BusyError."""
        with self._held("exporting.lock", fcntl.LOCK_EX, patience):
            yield

    @contextmanager
    def mirroring(self, *, patience: float) -> Generator[None]:
        """Be the only one who copies to object storage. Raises BusyError."""
        with self._held("mirroring.lock", fcntl.LOCK_EX, patience):
            yield

    @contextmanager
    def _held(self, name: str, how: int, patience: float) -> Generator[None]:
        path = self._directory / name
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise problem(error, path, "locking") from error
        try:
            self._wait(handle, how, patience)
            yield
        finally:
            os.close(handle)

    def _wait(self, handle: int, how: int, patience: float) -> None:
        end = time.monotonic() + patience
        told = False
        while True:
            try:
                fcntl.flock(handle, how | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > end:
                    raise BusyError(
                        "another backup, verification or drill is at the repository",
                        hint="`pgstead backup list --json` shows what runs; try again later",
                    ) from None
                if not told:
                    self._progress.step("waiting for another backup, verification or drill")
                told = True
                time.sleep(_POLL)
            else:
                return
