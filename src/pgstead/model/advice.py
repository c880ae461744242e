"""What `inspect` says: findings with their evidence, what to do, and the SQL that does it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

Row = Mapping[str, Any]


class Subject(StrEnum):
    """What can be inspected."""

    QUERIES = "queries"
    INDEXES = "indexes"
    BLOAT = "bloat"
    LOCKS = "locks"
    CONNECTIONS = "connections"
    VACUUM = "vacuum"
    SETTINGS = "settings"
    IO = "io"
    FORECAST = "forecast"
    PERFORMANCE = "performance"


class Severity(StrEnum):
    """How much a finding matters."""

    CRITICAL = "critical"
    WARNING = "warning"
    ADVICE = "advice"


@dataclass(frozen=True, slots=True)
class Figure:
    """One piece of evidence. The unit is UCUM's: s, By, 1 (a ratio), {session}; empty for words."""

    name: str
    value: float | str | None  # None: nobody knows it
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be."""

    rule: str
    severity: Severity
    database: str  # empty: the whole server
    says: str
    evidence: tuple[Figure, ...]
    window: str  # from when to when the figures were counted
    do: str
    sql: tuple[str, ...] = ()  # each a statement of its own; empty where SQL does not help
    detail: tuple[str, ...] = ()  # lines to read beside it: a tree, plans


@dataclass(frozen=True, slots=True)
class Unseen:
    """What could not be looked at, and why; it is never taken for well."""

    what: str
    reason: str


@dataclass(frozen=True, slots=True)
class Table:
    """Figures to read where nothing has to be done."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | float | None, ...], ...]
    units: tuple[str, ...] = ()  # of the columns; empty: words


@dataclass(frozen=True, slots=True)
class Answers:
    """What the server told: rows by question, each with the database that it came from."""

    rows: Mapping[str, tuple[Row, ...]]
    unseen: tuple[Unseen, ...]
    at: datetime

    def of(self, what: str) -> tuple[Row, ...]:
        """Return the rows of a question; none where it could not be asked."""
        return self.rows.get(what, ())


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All that was found about one subject."""

    subject: Subject
    at: datetime
    findings: tuple[Finding, ...]
    unseen: tuple[Unseen, ...] = ()
    tables: tuple[Table, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Candidate:
    """An index that may be worth having."""

    database: str
    schema: str
    table: str
    columns: tuple[str, ...]
    reason: str  # the statement or the key that it is for


@dataclass(frozen=True, slots=True)
class Trial:
    """What the planner says of a statement without and with an index. Costs are its estimates."""

    candidate: Candidate
    before: float
    after: float
    bytes: float  # of the index
    plan_before: str
    plan_after: str

    @property
    def gain(self) -> float:
        """The share of the cost that goes."""
        return 1 - self.after / self.before if self.before > 0 else 0.0


@dataclass(frozen=True, slots=True)
class PoolUse:
    """How the pooler's servers for a database were used, as it was sampled."""

    database: str
    size: float  # servers that it may have
    busy: tuple[float, ...]  # servers in use, a figure for each sample
    waiting: tuple[float, ...]  # clients in the queue
    longest: float  # seconds that a client waited, as far as samples saw
    begun: datetime
    ended: datetime
