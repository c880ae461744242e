"""A migration history as it is found: the files, and what a database remembers of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class RevisionFile:
    """A revision's file, read without being executed."""

    path: str  # as it is shown to people
    name: str  # empty where it could not be read
    parents: tuple[str, ...]
    message: str  # the first line of its docstring
    source: str
    problem: str = ""  # why it cannot be read

    @property
    def digest(self) -> str:
        """What its text is known by."""
        return digest(self.source)


@dataclass(frozen=True, slots=True)
class Applied:
    """A line of the ledger."""

    revision: str
    direction: str  # up, down, stamp, reconcile
    at: datetime
    seconds: float
    tries: int
    role: str
    person: str
    reason: str | None
    digest: str
    source: str


@dataclass(frozen=True, slots=True)
class Remembered:
    """What a database knows of its migrations."""

    heads: tuple[str, ...] = ()
    lines: tuple[Applied, ...] = ()  # oldest first; empty where there was no ledger yet
    unfinished: Mapping[str, Sequence[str]] | None = None  # revision -> statements that are in


@dataclass(frozen=True, slots=True)
class HistoryProblem:
    """A history that disagrees, with itself or with the database."""

    kind: str  # "two-heads"
    says: str
    way_out: str


def digest(source: str) -> str:
    """Return what a revision's text is known by; how its lines end does not matter."""
    return hashlib.sha256("\n".join(source.splitlines()).encode()).hexdigest()
