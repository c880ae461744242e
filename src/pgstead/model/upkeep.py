"""Upkeep: what is to be done to tables and indexes, when, how gently, and how it went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

APPLICATION = "pgstead upkeep"  # application_name of whoever does it
MEASURED = "measured"
ESTIMATED = "estimated"
COUNTED = "counted"  # by the server's statistics


class Work(StrEnum):
    """What can be done, in the order of how much it matters."""

    FREEZE = "freeze"
    DROP = "drop"  # what a REINDEX CONCURRENTLY left behind
    REBUILD = "rebuild"  # an index that is not valid
    VACUUM = "vacuum"
    ANALYZE = "analyze"
    REINDEX = "reindex"
    REORGANIZE = "reorganize"
    RESET = "reset"  # pg_stat_statements


@dataclass(frozen=True, slots=True)
class UpkeepPlan:
    """When and how gently a stead is kept up. Spans in seconds, shares of 1."""

    schedule: str  # when a window opens: cron(5), UTC
    window: float  # how long it is open
    file: str  # the history (SQLite)
    role: str  # who does it; empty: each table's owner (PostgreSQL 16 and older)
    role_rights: str  # what the role is a member of
    lock_timeout: float
    sessions: int  # active ones from which on it waits
    latency: float  # of a question that needs no table, from which on it waits
    yields_after: float  # how long somebody else may wait for a lock of ours
    cost_delay: float
    cost_limit: int
    dead: float  # share of dead rows that asks for VACUUM
    changed: float  # share of changed rows that asks for ANALYZE
    bloat: float  # share of an index or table that holds nothing
    smallest: int  # bytes of waste below which nobody has to care
    freeze_age: float  # share of autovacuum_freeze_max_age
    reset_age: float  # after which pg_stat_statements begins anew; 0: never
    room: float  # share of the file system that is left free
    automatic: bool = True  # the agent does it


@dataclass(frozen=True, slots=True)
class Table:
    """A table as its statistics tell."""

    schema: str
    name: str
    owner: str
    bytes: float
    rows: float  # -1: never counted
    live: float
    dead: float
    changed: float  # since it was analyzed
    vacuumed: datetime | None
    analyzed: datetime | None
    xid_age: float
    mxid_age: float
    wasted: float | None  # bytes that hold nothing; None: nobody knows
    told_by: str = ESTIMATED
    catalog: bool = False
    usable: bool = True  # the role of upkeep may enter the schema


@dataclass(frozen=True, slots=True)
class Index:
    """An index as it was found."""

    schema: str
    name: str
    table: str
    owner: str
    bytes: float
    wasted: float | None
    told_by: str
    valid: bool
    building: bool  # somebody builds it now
    usable: bool = True
    place: str = ""  # of its tablespace; empty: the data directory


@dataclass(frozen=True, slots=True)
class Found:
    """What was found in a database."""

    database: str
    tables: tuple[Table, ...]
    indexes: tuple[Index, ...]
    freeze_max: float  # autovacuum_freeze_max_age
    mxid_freeze_max: float
    extensions: Mapping[str, str] = field(default_factory=dict[str, str])  # name -> schema
    reset_at: datetime | None = None  # when pg_stat_statements began; None: it is not there
    correlated: tuple[Correlation, ...] = ()


@dataclass(frozen=True, slots=True)
class Correlation:
    """Columns that are indexed together and tell of each other, as a sample of rows shows."""

    schema: str
    table: str
    columns: tuple[str, ...]
    distinct: tuple[float, ...]  # values of each in the sample
    together: float  # pairs in the sample
    rows: float  # of the sample


@dataclass(frozen=True, slots=True)
class Chore:
    """One thing to be done."""

    work: Work
    database: str
    schema: str
    name: str  # a table, or an index
    table: str  # that it is done to
    owner: str
    reason: str
    bytes: float = 0.0  # that are read or written anew
    room: float = 0.0  # bytes of disk that it needs meanwhile
    place: str = ""  # where; empty: in the data directory
    wasted: float | None = None
    told_by: str = COUNTED
    urgent: bool = False  # it waits neither for a window nor for others
    usable: bool = True
    seconds: float | None = None  # how long it will take, about; None: nobody knows
    again: str = ""  # how it ended when it was begun last and did not come to its end

    @property
    def key(self) -> str:
        """Name it from one run to the next."""
        return f"{self.work} {self.database} {self.schema}.{self.name}"


@dataclass(frozen=True, slots=True)
class Advice:
    """What upkeep found and leaves to people."""

    database: str
    what: str
    why: str
    do: str


@dataclass(frozen=True, slots=True)
class UpkeepWork:
    """What is to be done now, most important first, and what is left to people."""

    at: datetime
    chores: tuple[Chore, ...]
    advice: tuple[Advice, ...] = ()


class Outcome(StrEnum):
    """How a chore ended."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    DEFERRED = "put off"  # it could not be done now; the next window tries again
    INTERRUPTED = "interrupted"
    KILLED = "killed"


@dataclass(frozen=True, slots=True)
class ChoreRun:
    """A chore that was begun: a line of the history."""

    number: int
    run: int
    work: Work
    database: str
    schema: str
    name: str
    table: str
    reason: str
    told_by: str
    begun: datetime
    ended: datetime | None
    outcome: Outcome
    before: Mapping[str, float | None] = field(default_factory=dict[str, float | None])
    after: Mapping[str, float | None] = field(default_factory=dict[str, float | None])
    error: str = ""
    role: str = ""

    @property
    def key(self) -> str:
        """Name the chore from one run to the next."""
        return f"{self.work} {self.database} {self.schema}.{self.name}"

    @property
    def seconds(self) -> float | None:
        """How long it took; None while it runs."""
        return None if self.ended is None else (self.ended - self.begun).total_seconds()


@dataclass(frozen=True, slots=True)
class UpkeepRun:
    """A run: what was done in one window, or by one command."""

    number: int
    cause: str
    begun: datetime
    ended: datetime | None
    outcome: Outcome
    planned: int
    whole: bool = True  # all that was due was meant
    error: str = ""


def unsettled(chores: Sequence[ChoreRun], runs: Sequence[UpkeepRun]) -> tuple[ChoreRun, ...]:
    """Return the chores that did not come to their end; both are given newest first.

    Each counts until it is done, or until a whole run no longer found it due: somebody else did
    it, or what it was about is gone.
    """
    ended = (Outcome.DONE, Outcome.FAILED, Outcome.DEFERRED)
    last = next((r.number for r in runs if r.whole and r.outcome in ended), 0)
    newest: dict[str, ChoreRun] = {}
    for chore in chores:
        newest.setdefault(chore.key, chore)
    fine = (Outcome.DONE, Outcome.RUNNING)
    return tuple(c for c in newest.values() if c.outcome not in fine and c.run >= last)
