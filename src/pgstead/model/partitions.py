"""Tables in parts: by which column, which parts there are, and which there should be."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

_LONGEST = 63  # bytes of an identifier


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
    marked: bool = False  # its comment says that a run drops it
    detached: bool = False  # it is a table of its own by now, with such a comment


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
    finish: tuple[Part, ...] = ()  # dropping them was cut short
    stray: tuple[Part, ...] = ()  # that too, and they are not due: somebody has to decide
    unmark: tuple[Part, ...] = ()  # they stay, and their comment says otherwise
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


def floor(moment: datetime, every: Every) -> datetime:
    """Return when the time of a partition began that holds a moment (UTC)."""
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    match every:
        case Every.DAY:
            return day
        case Every.WEEK:
            return day - timedelta(days=day.weekday())
        case Every.MONTH:
            return day.replace(day=1)
        case Every.YEAR:
            return day.replace(month=1, day=1)


def following(start: datetime, every: Every) -> datetime:
    """Return when the time of the next partition begins."""
    match every:
        case Every.DAY:
            return start + timedelta(days=1)
        case Every.WEEK:
            return start + timedelta(days=7)
        case Every.MONTH:
            return floor(start + timedelta(days=32), every)
        case Every.YEAR:
            return start.replace(year=start.year + 1)


def name_of(table: str, start: datetime, every: Every) -> str:
    """Return the name of a partition: `events_p2026_11`."""
    forms = {Every.DAY: "%Y_%m_%d", Every.WEEK: "%Gw%V", Every.MONTH: "%Y_%m", Every.YEAR: "%Y"}
    return fitting(table, f"_p{start.strftime(forms[every])}")


def fitting(table: str, ending: str) -> str:
    """Return a name of a table's own, as the server takes it whole."""
    name = table.rpartition(".")[2]
    if len((name + ending).encode()) <= _LONGEST:
        return name + ending
    mark = hashlib.sha256(name.encode()).hexdigest()[:8]
    room = _LONGEST - len(ending) - len(mark) - 1
    return f"{name.encode()[:room].decode(errors='ignore')}_{mark}{ending}"


def first_parts(table: str, start: datetime, every: Every, count: int) -> tuple[Wanted, ...]:
    """Return the partitions from a moment on: the first may be shorter than the others."""
    found: list[Wanted] = []
    for _ in range(count):
        end = following(floor(start, every), every)
        name = name_of(table, start, every)
        if start != floor(start, every):
            name = fitting(table, f"_p{start:%Y_%m_%d_%H%M}")
        found.append(Wanted(name, start, end))
        start = end
    return tuple(found)
