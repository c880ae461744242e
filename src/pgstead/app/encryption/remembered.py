"""Secrets of persons, remembered for seconds: few, and none for longer than is said.

A secret that was destroyed is gone from a process `LIVES` seconds later at the latest, whether the
process asks for others meanwhile or does nothing at all.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Final

from pgstead.app.encryption.persons import PersonKeys
from pgstead.app.encryption.place import Owner

LIVES: Final = 5.0  # seconds, from when it was read
MOST: Final = 4096  # secrets


class Remembered:
    """The secrets of persons as a process has them. Safe to share between threads and tasks."""

    __slots__ = ("_clock", "_found", "_lock", "_store", "_waking")

    def __init__(self, store: PersonKeys, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Keep the store; nothing is read yet."""
        self._store = store
        self._clock = clock
        self._lock = threading.Lock()
        self._found: dict[Owner, tuple[float, bytes]] = {}  # oldest first: none is renewed
        self._waking = 0  # the process in which a thread will forget what is too old

    @property
    def name(self) -> str:
        """Where they lie."""
        return self._store.name

    def secret(self, owner: Owner) -> bytes | None:
        """Return a person's secret, None where there is none. Raises ErasedError, KeyringError."""
        return self._known(owner) or self._kept(owner, self._store.secret(owner))

    def make(self, owner: Owner) -> bytes:
        """Return a person's secret, made where there is none. Raises ErasedError, KeyringError."""
        known = self._known(owner)
        if known is None:
            known = self._store.make(owner)
            self._kept(owner, known)
        return known

    def forget(self) -> int:
        """Forget what is too old; return how many are left."""
        with self._lock:
            return self._swept()

    def _known(self, owner: Owner) -> bytes | None:
        with self._lock:
            self._swept()
            found = self._found.get(owner)
        return found[1] if found is not None else None

    def _kept(self, owner: Owner, secret: bytes | None) -> bytes | None:
        if secret is None:
            return None
        with self._lock:
            self._found.pop(owner, None)
            while len(self._found) >= MOST:
                self._found.pop(next(iter(self._found)))
            self._found[owner] = (self._clock(), secret)
            if self._waking != os.getpid():  # a fork has no threads of its parent
                self._wake()
        return secret

    def _swept(self) -> int:
        end = self._clock() - LIVES
        while self._found:
            first = next(iter(self._found))
            if self._found[first][0] > end:
                break
            del self._found[first]
        return len(self._found)

    def _wake(self) -> None:
        self._waking = os.getpid()
        timer = threading.Timer(LIVES, self._woken)
        timer.daemon = True
        timer.start()

    def _woken(self) -> None:
        with self._lock:
            self._waking = 0
            if self._swept():
                self._wake()

    def __repr__(self) -> str:
        return f"Remembered({self._store.name!r})"
