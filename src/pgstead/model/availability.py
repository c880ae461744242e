"""Availability over thirty days (REL-5): what it is reckoned from, and what it comes to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

DAYS = 30
ENOUGH = 0.95  # of the time asked about has to be sampled, else it is unproven
NOTE = "availability"


@dataclass(frozen=True, slots=True)
class Slot:
    """A stretch of time, and how somebody answered in it."""

    metric: str  # pg_up, pgbouncer_up
    number: int  # Unix time divided by the length of a slot
    count: int  # looks
    share: float  # of them that were answered


@dataclass(frozen=True, slots=True)
class Maintenance:
    """A declared stretch of time in which the database need not be there."""

    begins: datetime
    ends: datetime
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Availability:
    """How much of the time it was there. Seconds; shares between 0 and 1."""

    ratio: float | None  # None: unproven, for the reason
    measured: float | None  # of what was sampled, be it enough or not
    coverage: float  # of the time asked about, the share that was sampled
    down: float | None  # of what was sampled; None without any sample
    sampled: float
    maintenance: float  # left out
    days: int
    samples: int
    reason: str = ""

    @property
    def state(self) -> str:
        """`measured`, or `unproven` where too little was sampled."""
        return "unproven" if self.ratio is None else "measured"
