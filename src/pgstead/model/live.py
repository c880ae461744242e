"""What `top` shows: the server at one moment, and what happened since the moment before."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pgstead.model.advice import Row, Unseen


@dataclass(frozen=True, slots=True)
class Rate:
    """What a database does in a second; None before the second look."""

    database: str
    transactions: float | None
    blocks_read: float | None
    hit_ratio: float | None  # None also where no block was asked for


@dataclass(frozen=True, slots=True)
class Busy:
    """What a statement took since the look before."""

    database: str
    role: str
    queryid: str
    calls: float
    seconds: float
    query: str


@dataclass(frozen=True, slots=True)
class Picture:
    """One look."""

    at: datetime
    since: float | None  # seconds since the look before
    connections: tuple[float, float] | None  # used, allowed; None: unseen
    states: tuple[tuple[str, float], ...]
    rates: tuple[Rate, ...]
    sessions: tuple[Row, ...]
    blocked: int | None  # sessions that wait for a lock; None: unseen
    pools: tuple[Row, ...] | None  # None: unseen, or there is no pooler
    statements: tuple[Busy, ...]
    unseen: tuple[Unseen, ...]
