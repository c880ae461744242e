"""The directory that the tests and their stead's host share, and what they tell each other."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

MARK = "pgtest-"  # how the names of the directories begin
REQUEST, ANSWER, LEASE, HOST, LOG = "request.json", "answer.json", "lease", "host", "host.log"
STATE = "s"  # short: a socket's path has 107 bytes


@dataclass(frozen=True, slots=True)
class Request:
    """What the tests ask for."""

    manifest: str | None  # None: the nearest one upwards
    directory: str  # where to look from
    database: str  # empty: the only one
    workers: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What they get: where everything is. No secret."""

    manifest: str
    database: str
    owner: str
    prefix: str
    models: str
    connection: str  # the connection file of the original
    socket: str
    port: int
    superuser: str
    log: str


@dataclass(frozen=True, slots=True)
class Place:
    """The directory that tests and host share; everything of the stead is in it."""

    directory: Path

    @property
    def state(self) -> Path:
        """The state directory of the stead."""
        return self.directory / STATE

    def lock(self, name: str, how: int) -> int:
        """Lock a file of the directory; return its descriptor, which closing unlocks.

        Raises BlockingIOError with LOCK_NB where it is held.
        """
        handle = os.open(self.directory / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, how)
        except BaseException:
            os.close(handle)
            raise
        return handle

    @contextmanager
    def held(self, name: str, how: int) -> Generator[None]:
        """Hold such a lock for a while."""
        handle = self.lock(name, how)
        try:
            yield
        finally:
            os.close(handle)

    def write(self, name: str, told: object) -> None:
        """Write a file whole or not at all."""
        partial = self.directory / f"{name}.{os.getpid()}"
        partial.write_text(json.dumps(told), encoding="utf-8")
        partial.replace(self.directory / name)
