"""Protocols of auditing: what logs say, and the files that the trail is kept in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from pgstead.model.audit import Head, Place, Record


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a log was read. `born` tells a file from the one that overwrites it."""

    file: str = ""
    born: str = ""
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Stretch:
    """Whole lines of one file, each with the mark behind it."""

    lines: tuple[tuple[Mark, bytes], ...]
    gap: str = ""  # what is missing before them, empty for nothing
    more: bool = False  # there is more to read


class LogReader(Protocol):
    """A log in a folder, whose files are overwritten in turn."""

    def read(self, mark: Mark) -> Stretch:
        """Return what follows on a mark, up to some megabytes. Raises HostError."""
        ...


class TrailStore(Protocol):
    """The trail: files of a day each, appended to and never changed. All raise HostError."""

    def writing(self) -> AbstractContextManager[None]:
        """Hold the trail: one process at a time collects."""
        ...

    def head(self) -> Head:
        """Return what the next record follows on."""
        ...

    def append(self, bodies: Sequence[Mapping[str, Any]]) -> Head:
        """Write records, on the disk when this returns."""
        ...

    def lines(self, since: date | None = None) -> Iterator[tuple[str, str]]:
        """Yield the whole lines, oldest first, each with its file and number."""
        ...

    def records(self, since: date | None = None) -> Iterator[tuple[str, Record | None]]:
        """Yield the records, oldest first, with file and line; None for an unreadable line."""
        ...

    def following(self, after: Place | date) -> Iterator[tuple[Place, Record | None]]:
        """Yield the records behind a place, or from a day on, each with the place behind it."""
        ...

    def end(self) -> Place | None:
        """Return the place behind the last record."""
        ...

    def anchors(self) -> Iterable[Head]:
        """Yield heads that were noted elsewhere than in the trail."""
        ...

    def aged(self, before: date) -> Sequence[tuple[str, Head]]:
        """Return the files of days before one, each with its last record; never the newest."""
        ...

    def remove(self, name: str) -> None:
        """Remove a file that the trail tells of."""
        ...

    def notes(self) -> Mapping[str, Any]:
        """Return what the last collection left for the next one."""
        ...

    def note(self, notes: Mapping[str, Any]) -> None:
        """Leave something for the next collection."""
        ...


@dataclass(frozen=True, slots=True)
class AuditPorts:
    """What auditing works with."""

    trail: TrailStore
    server_log: LogReader
    pooler_log: LogReader | None
    journal: LogReader
