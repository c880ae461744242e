"""What `pgstead bench` measures: a load, what each target took, and what became of it since."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from statistics import median, quantiles

FORMAT = 1  # of the file with the baseline
# Below these a percentile is some few samples, and says nothing.
ENOUGH: Mapping[float, int] = {0.5: 5, 0.9: 20, 0.95: 100, 0.99: 500}


@dataclass(frozen=True, slots=True)
class Request:
    """A request of a load. What it makes it must not leave behind."""

    what: str  # "GET /projects/{id}": the same for all that ask for the same
    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    body: bytes = b""
    status: int = 200  # another one is a failure


class Kind(StrEnum):
    """What a target is."""

    API = "api"
    DATABASE = "database"
    CONNECT = "connect"  # a new connection, with TLS and password
    FLOOR = "floor"  # the machine itself: the same work of this process alone


@dataclass(frozen=True, slots=True)
class Load:
    """An open load: arrivals come at their time, whether the ones before are done or not."""

    users: int  # at most so many at once
    rate: float  # arrivals per second, all targets together
    rounds: int
    seconds: float  # of a round


@dataclass(frozen=True, slots=True)
class Round:
    """One target in one round. Seconds; None where there were too few samples."""

    samples: int
    p50: float | None
    p90: float | None


@dataclass(frozen=True, slots=True)
class Spread:
    """Median and quartiles of some rounds."""

    lower: float
    median: float
    upper: float
    rounds: int

    @property
    def width(self) -> float:
        """From quartile to quartile."""
        return self.upper - self.lower


@dataclass(frozen=True, slots=True)
class Measured:
    """One target in all rounds. Seconds from sending to the end; failures are in none of them."""

    what: str
    kind: Kind
    rounds: tuple[Round, ...]
    samples: int  # that went well
    failed: int
    reasons: Mapping[str, int]
    p95: float | None
    p99: float | None
    mean: float | None
    plan: str = ""  # of the planner, without costs

    def spread(self, figure: str) -> Spread | None:
        """Return the spread of p50 or p90 over the rounds; None where fewer than three know it."""
        known = [v for v in (getattr(each, figure) for each in self.rounds) if v is not None]
        if len(known) < 3:
            return None
        lower, _, upper = quantiles(known, n=4, method="inclusive")
        return Spread(lower, median(known), upper, len(known))

    @property
    def failing(self) -> float:
        """The share that failed."""
        return self.failed / (self.samples + self.failed) if self.samples + self.failed else 0.0


@dataclass(frozen=True, slots=True)
class Bench:
    """A whole run."""

    at: str  # as `host.clock.stamp` writes it
    version: str  # pgstead's
    machine: Mapping[str, str]
    settings: Mapping[str, str]  # the server's
    load: Load
    measured: tuple[Measured, ...]
    late: float | None  # p95 of the seconds that arrivals waited for a free user

    def of(self, what: str) -> Measured | None:
        """Return a target."""
        return next((m for m in self.measured if m.what == what), None)


class Change(StrEnum):
    """What became of a target."""

    SLOWER = "slower"
    FASTER = "faster"
    SAME = "same"  # within the spread
    FAILING = "failing"
    NEW = "new"
    GONE = "gone"
    UNKNOWN = "unknown"  # too few samples on one side


@dataclass(frozen=True, slots=True)
class Compared:
    """A target then and now."""

    what: str
    change: Change
    figure: str  # p50, p90: where it is seen
    then: Spread | None
    now: Spread | None
    samples: tuple[int, int]
    failing: tuple[float, float]
    explains: tuple[str, ...] = ()

    @property
    def ratio(self) -> float | None:
        """Now, of then."""
        if self.then is None or self.now is None or self.then.median <= 0:
            return None
        return self.now.median / self.then.median
