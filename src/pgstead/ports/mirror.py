"""Protocols of the copy in object storage: the store, the files, and what is remembered of both."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pgstead.model.backup import StoredBackup
    from pgstead.model.mirror import Copy, Known, LocalFile


@dataclass(frozen=True, slots=True)
class Transfer:
    """A file and its object."""

    key: str
    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Listed:
    """An object as a listing tells of it."""

    size: int
    etag: str


class ObjectStore(Protocol):
    """A bucket, below a prefix; keys are relative to it. Raises MirrorError."""

    def put(self, transfers: Sequence[Transfer]) -> Mapping[str, str]:
        """Store files; return the ETag of each by its key. What arrived is compared."""
        ...

    def get(self, transfers: Sequence[Transfer]) -> None:
        """Fetch objects into files that are there when they are whole, and not before."""
        ...

    def altered(self, transfers: Sequence[Transfer]) -> Mapping[str, str]:
        """Read objects through; return what is wrong by the key of those that are not whole."""
        ...

    def listing(self) -> Mapping[str, Listed]:
        """Return all objects by their keys."""
        ...

    def read(self, key: str) -> str | None:
        """Return a small object, None where there is none."""
        ...

    def write(self, key: str, text: str) -> None:
        """Store a small object in the place of what is there."""
        ...

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects; one that is gone already is no error."""
        ...

    def abort(self) -> int:
        """End uploads that killed runs have begun; return how many."""
        ...


class MirrorSource(Protocol):
    """The files of the repository that belong into the copy."""

    def files(self, backups: Sequence[StoredBackup]) -> Sequence[LocalFile]:
        """Return them. Raises MirrorError for one that is plain and must not be."""
        ...

    def still(self, files: Sequence[LocalFile]) -> AbstractContextManager[Sequence[LocalFile]]:
        """Give copies of those that may change, which do not, with the catalog; for a while."""
        ...

    def sum(self, file: LocalFile) -> str:
        """Return its SHA-256."""
        ...


class MirrorArrival(Protocol):
    """Where a copy is fetched to: a repository is there when it is whole, and not before."""

    @property
    def staging(self) -> Path:
        """The directory that files are fetched into; it stays after a failure."""
        ...

    def open(self, room: int) -> None:
        """Make it. Raises MirrorError where a repository is there or room is missing."""
        ...

    def missing(self, copies: Mapping[str, Copy]) -> Sequence[Transfer]:
        """Return what has to be fetched still."""
        ...

    def put_key(self, key: Path) -> None:
        """Place the secret half of the key, from where it was kept apart."""
        ...

    @property
    def has_key(self) -> bool:
        """The secret half is there."""
        ...

    def close(self) -> None:
        """Give the repository its name, and the stead the catalog unless it has one."""
        ...


class MirrorMemory(Protocol):
    """What this machine remembers of the copy."""

    def load(self) -> Known | None:
        """Return it; None where nothing is remembered."""
        ...

    def save(self, known: Known) -> None:
        """Keep it."""
        ...


@dataclass(frozen=True, slots=True)
class MirrorPorts:
    """What a copy in object storage is kept with."""

    store: ObjectStore
    source: MirrorSource
    arrival: MirrorArrival
    memory: MirrorMemory
