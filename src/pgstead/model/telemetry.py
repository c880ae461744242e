"""What is watched: metrics, samples of them, and what a sample means against its threshold.

No data is no value: `None` with a reason, never 0 (docs/adr/0026).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from pgstead.model.availability import Maintenance

# What the availability of thirty days is reckoned from (REL-5) is kept longer than the rest.
LASTING = ("pg_up", "pgbouncer_up", "pgstead_probe_seconds")
LASTING_DAYS = 31
REMAINING = "pgstead_capacity_remaining_seconds"  # until a capacity ends, as it is foreseen
LOOK_SECONDS = "pgstead_sampler_seconds"  # the metric that tells how long the last look took
STALE_AFTER = 3.0  # times its own cadence, after which a sample says nothing about now


class MetricKind(StrEnum):
    """How values of one metric relate to each other (OpenTelemetry's instruments)."""

    COUNTER = "counter"  # only grows, until a restart or a reset
    GAUGE = "gauge"


class Cadence(StrEnum):
    """How often something is looked at."""

    FAST = "fast"  # each interval
    SLOW = "slow"  # what is dear, and changes slowly


@dataclass(frozen=True, slots=True)
class Metric:
    """What is measured. The unit is UCUM's, as OpenTelemetry writes it: s, By, 1, {connection}."""

    name: str  # as Prometheus has it: with its unit, a counter ending in _total
    kind: MetricKind
    unit: str
    description: str
    attributes: tuple[str, ...] = ()
    cadence: Cadence = Cadence.FAST
    most: int = 1  # series, whatever is there to be measured; of each database where `each`
    each: bool = False

    def bound(self, databases: int) -> int:
        """Return how many series there can be with so many databases in the manifest."""
        return self.most * (databases if self.each else 1)


@dataclass(frozen=True, slots=True)
class Sample:
    """One value at one moment; None with the reason where nobody knows it."""

    metric: str
    value: float | None
    at: datetime
    attributes: tuple[tuple[str, str], ...] = ()
    reason: str = ""


class Level(StrEnum):
    """What a value means."""

    OK = "ok"
    WARNING = "warning"
    CRITICAL = "critical"
    UNKNOWN = "unknown"  # it should be known, and is not
    NONE = "none"  # there is nothing of the kind here


class Fold(StrEnum):
    """How the values of one metric become one value."""

    HIGHEST = "highest"
    LOWEST = "lowest"
    SUM = "sum"


@dataclass(frozen=True, slots=True)
class Threshold:
    """From which value on something is a warning, or critical.

    `hysteresis` is the share of a threshold that a value has to come back by before the level
    does: at 0.05 a warning above 0.75 ends below 0.7125.
    """

    warning: float | None
    critical: float | None
    hysteresis: float = 0.05
    falling: bool = False  # the lower the worse


@dataclass(frozen=True, slots=True)
class Check:
    """A field of `/health/db`: which metric it watches, and what is bad of it."""

    name: str
    metric: str
    unit: str
    description: str
    threshold: Threshold
    fold: Fold = Fold.HIGHEST
    where: tuple[tuple[str, str], ...] = ()  # attributes that a sample has to have
    serving: bool = False  # critical: the database cannot serve, so health answers 503
    without: str = ""  # why there may be no sample at all; empty: that is unknown


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check came to."""

    check: str
    level: Level
    since: datetime  # when it came to this level
    at: datetime  # of the newest sample behind it
    value: float | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Exporter:
    """Where OTLP goes."""

    endpoint: str
    protocol: str  # http, grpc
    headers_file: str  # a file with `name: value` lines; empty for none
    interval: float
    traces: bool = False  # a span for each statement, too


@dataclass(frozen=True, slots=True)
class TelemetryPlan:
    """How a stead is watched. Spans in seconds."""

    interval: float
    slow_interval: float
    retention: float
    thresholds: Mapping[str, Threshold]
    networks: tuple[str, ...]  # who may see more than the status, beside loopback
    samples: str  # the file with them
    readers: str  # the OS user of the services, who read it
    exporter: Exporter | None = None
    maintenance: tuple[Maintenance, ...] = ()  # stretches that availability leaves out

    def cadence(self, cadence: Cadence) -> float:
        """Return the seconds between two looks."""
        return self.interval if cadence is Cadence.FAST else self.slow_interval
