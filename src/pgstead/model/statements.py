"""Statements as they are counted from one look to the next (pg_stat_statements)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

_CONSTANT = re.compile(r"/\*.*?\*/|'(?:[^']|'')*'|\$\d+|(?<![\w$])\d+(?:\.\d+)?", re.DOTALL)
_COMPARED = 2000  # characters


def fingerprint(text: str) -> str:
    """Return a statement without its constants, to know it again in another place.

    The log's query_id is not to be trusted: inside of a transaction a portal ends when the next
    statement comes, and what is logged then has the number of that one.
    """
    return " ".join(_CONSTANT.sub("?", text).split()).lower()[:_COMPARED]


@dataclass(frozen=True, slots=True)
class StatementKey:
    """Which statement. Its number changes with the major version and when tables are made anew."""

    database: str
    role: str
    queryid: str


@dataclass(frozen=True, slots=True)
class Counts:
    """What a statement took, in all or in a window. Times in seconds, temporary space in bytes."""

    calls: float
    seconds: float
    rows: float
    blocks_read: float
    temp_bytes: float


@dataclass(frozen=True, slots=True)
class Reading:
    """All counters of a database at one moment."""

    at: datetime
    counts: Mapping[StatementKey, Counts]


@dataclass(frozen=True, slots=True)
class StatementWindow:
    """What a statement took between two looks."""

    key: StatementKey
    query: str  # normalized: constants are $1, $2
    begun: datetime
    ended: datetime
    counts: Counts

    @property
    def mean(self) -> float:
        """Seconds of a call."""
        return self.counts.seconds / max(self.counts.calls, 1.0)


@dataclass(frozen=True, slots=True)
class Regression:
    """A statement that is slower than it was."""

    key: StatementKey
    query: str
    before: float  # seconds of a call: the median of the windows before
    now: float  # seconds of a call in the newest window
    windows: int  # that the median is of
    calls: float  # in the newest window
    begun: datetime
    ended: datetime

    @property
    def factor(self) -> float:
        """How many times as long it takes."""
        return self.now / self.before


@dataclass(frozen=True, slots=True)
class LoggedPlan:
    """A plan that auto_explain logged."""

    at: datetime
    database: str
    statement: str  # its fingerprint
    seconds: float
    lines: tuple[str, ...]
    shape: str  # without figures: equal for equal plans
