"""Tables in parts: by which column, which parts there are, and which there should be."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Every(StrEnum):
    """How long the time of one partition is."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"


@dataclass(frozen=True, slots=True)
class Partitioning:
    """How a table is in parts."""

    table: str  # with its schema
    column: str
    every: Every | None  # None: by hash
    ahead: int = 3  # partitions that are there before their time
    keep: float | None = None  # seconds that a partition outlives its time; None: for ever
    count: int = 0  # of partitions by hash


@dataclass(frozen=True, slots=True)
class Part:
    """A partition that there is. Without bounds: of all times, the default one, or by hash."""

    name: str
    lower: datetime | None = None
    upper: datetime | None = None
    default: bool = False
    remainder: int | None = None
    pending: bool = False  # it was being detached when somebody was killed


@dataclass(frozen=True, slots=True)
class Wanted:
    """A partition that shall be made."""

    name: str
    lower: datetime | None = None
    upper: datetime | None = None
    modulus: int = 0
    remainder: int = 0


@dataclass(frozen=True, slots=True)
class Rollover:
    """What a run does to one table."""

    make: tuple[Wanted, ...] = ()
    drop: tuple[Part, ...] = ()
    finish: tuple[Part, ...] = ()  # detaching them was cut short
    late: bool = False  # now is beyond every partition: writes are refused


@dataclass(slots=True)
class Rolled:
    """What a run has done to one table."""

    database: str
    table: str
    made: list[str] = field(default_factory=list[str])
    dropped: list[str] = field(default_factory=list[str])
    rows: int = 0  # of what was dropped
    why: str = ""  # not all of it was done
