"""The samples that the agent of a stead writes, as a service reads them.

The service runs as another user and only reads; where the file cannot be read it says why, and
what it would have said is unknown.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from pgstead.model.sample_tables import (
    COUNTER_BUCKETS,
    GAUGE_BUCKETS,
    NEWEST,
    NOTE,
    SPENT,
    VERDICTS,
    VERSION,
)
from pgstead.model.telemetry import Level

_NOT_YET = "the agent has not sampled anything yet"
_SKEW = 5.0  # seconds
_PATIENCE = 0.3  # seconds; the agent writes for milliseconds


class UnreadableSamplesError(Exception):
    """Why there are no samples to be had."""


@dataclass(frozen=True, slots=True)
class Current:
    """The newest sample of a series."""

    metric: str
    kind: str
    unit: str
    description: str
    attributes: tuple[tuple[str, str], ...]
    at: float  # Unix time
    value: float | None
    reason: str
    stale_after: float  # seconds

    def fresh(self, now: float) -> bool:
        """Say whether it tells of now; what lies in the future is of a clock that was set back."""
        return -_SKEW <= now - self.at <= self.stale_after


@dataclass(frozen=True, slots=True)
class Judged:
    """A check as the agent judged it last."""

    name: str
    unit: str
    warning: float | None
    critical: float | None
    falling: bool
    serving: bool
    description: str
    level: Level
    since: float
    at: float
    value: float | None
    reason: str

    @property
    def prevents(self) -> bool:
        """It says that the database cannot serve."""
        return self.serving and self.level is Level.CRITICAL


@dataclass(frozen=True, slots=True)
class Note:
    """What the agent has read for a service that may not read it itself."""

    at: float  # Unix time
    body: Any


@dataclass(frozen=True, slots=True)
class Point:
    """What a series came to in one bucket of time; None where nobody knew."""

    bucket: int
    mean: float | None
    highest: float | None


@dataclass(frozen=True, slots=True)
class Spent:
    """What a statement took in all, in some time."""

    database: str
    role: str
    queryid: str
    query: str  # normalized: constants are $1, $2
    calls: float
    seconds: float
    rows: float


@dataclass(frozen=True, slots=True)
class Series:
    """A series by buckets of time; those without any sample are missing."""

    attributes: tuple[tuple[str, str], ...]
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Samples:
    """The file of a stead's samples."""

    path: Path
    interval: float  # seconds between two looks of the agent

    def newest(self) -> Sequence[Current]:
        """Return the newest sample of each series. Raises UnreadableSamplesError."""
        return tuple(
            Current(name, kind, unit, text, tuple(json.loads(told).items()), *rest)
            for name, kind, unit, text, told, *rest in self._rows(NEWEST)
        )

    def judged(self) -> Sequence[Judged]:
        """Return all checks; what is too old is unknown. Raises UnreadableSamplesError."""
        found: list[Judged] = []
        for row in self._rows(VERDICTS):
            name, unit, warning, critical, falling, serving, text, level, *rest = row
            check = Judged(
                name, unit, warning, critical, bool(falling), bool(serving), text, Level(level),
                *rest,
            )  # fmt: skip
            found.append(check)
        return tuple(self._aged(found))

    def note(self, name: str) -> Note | None:
        """Return what the agent wrote down, if it did. Raises UnreadableSamplesError."""
        for at, body in self._rows(NOTE, name):
            return Note(at, json.loads(body))
        return None

    def series(self, metric: str, since: float, bucket: float) -> Sequence[Series]:
        """Return a metric's values since a moment, in buckets of some seconds.

        Those of a counter (`_total`) are per second. Raises UnreadableSamplesError.
        """
        statement = COUNTER_BUCKETS if metric.endswith("_total") else GAUGE_BUCKETS
        rows = self._rows(statement, metric, since, since, bucket)
        return tuple(
            Series(tuple(json.loads(told).items()), tuple(Point(*rest) for _, *rest in group))
            for told, group in groupby(rows, key=lambda row: row[0])
        )

    def spent(self, since: float, count: int) -> Sequence[Spent]:
        """Return the statements that took most since a moment. Raises UnreadableSamplesError."""
        return tuple(Spent(*row) for row in self._rows(SPENT, since, count))

    def _aged(self, checks: Sequence[Judged]) -> Sequence[Judged]:
        """Return checks as they are known now: by the newest sample behind any of them.

        The file itself says nothing: the agent writes more into it than samples.
        """
        now = time.time()
        # what lies in the future was judged before the clock was set back
        judged = max((c.at for c in checks if c.at <= now + _SKEW), default=None)
        if judged is not None and now - judged <= 3 * self.interval + 5:
            return checks
        age = "since the clock was set" if judged is None else f"for {now - judged:.0f} s"
        reason = f"the agent has not sampled {age}"
        return [replace(c, level=Level.UNKNOWN, value=None, reason=reason) for c in checks]

    def _rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        if not self.path.parent.is_dir() or not self.path.exists():
            raise UnreadableSamplesError(_NOT_YET)
        try:
            return self._asked(statement, values, "mode=ro")
        except sqlite3.Error:
            # without an agent there is no -shm, and who may not write can read only so
            pass
        try:
            return self._asked(statement, values, "immutable=1")
        except sqlite3.Error as error:
            raise UnreadableSamplesError(f"the samples cannot be read: {error}") from error

    def _asked(self, statement: str, values: Sequence[object], how: str) -> list[tuple[Any, ...]]:
        address = f"{self.path.as_uri()}?{how}"
        opened = sqlite3.connect(address, uri=True, timeout=_PATIENCE, isolation_level=None)
        with contextlib.closing(opened):
            (version,) = opened.execute("PRAGMA user_version").fetchone()
            if version == 0:  # it is made, and its tables are not
                raise UnreadableSamplesError(_NOT_YET)
            if version != VERSION:
                raise sqlite3.DatabaseError(f"they are of version {version}, not {VERSION}")
            return opened.execute(statement, tuple(values)).fetchall()
