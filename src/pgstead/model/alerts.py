"""Alerts: rules, what they ask of samples, and what an alert is in now.

A condition is data: `render` writes it as PromQL, `plan` evaluates it on stored samples.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from pgstead.model.telemetry import Fold, Level, Sample

LEVELS = "pgstead_check_level"  # /metrics shows the checks under this name; -1 is unknown
SAMPLE_AGE = "pgstead_sample_age_seconds"
NOTE = "alerts"  # of the samples: what services show of them

Where = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest values of a metric, folded into one."""

    metric: str
    where: Where = ()
    fold: Fold = Fold.HIGHEST


@dataclass(frozen=True, slots=True)
class Increase:
    """By how much counters of a metric grew in a span (seconds), summed; a reset starts at 0."""

    metric: str
    span: float
    where: Where = ()


@dataclass(frozen=True, slots=True)
class Share:
    """What a part is of itself and the rest; nothing where both are 0."""

    part: Increase
    rest: Increase


@dataclass(frozen=True, slots=True)
class AgeOf:
    """How long ago the newest of the moments is that a metric tells (Unix time)."""

    metric: str


@dataclass(frozen=True, slots=True)
class Difference:
    """One newest value without another."""

    left: Newest
    right: Newest


Operand = Newest | Increase | Share | AgeOf | Difference


@dataclass(frozen=True, slots=True)
class Beyond:
    """An operand has reached a limit; with `falling` the lower is the worse."""

    operand: Operand
    limit: float
    falling: bool = False


@dataclass(frozen=True, slots=True)
class Missing:
    """There is no value of a metric now."""

    metric: str


@dataclass(frozen=True, slots=True)
class Every:
    """All of several conditions."""

    conditions: tuple[Beyond | Missing, ...]


@dataclass(frozen=True, slots=True)
class Some:
    """One of several conditions."""

    conditions: tuple[Beyond | Missing, ...]


@dataclass(frozen=True, slots=True)
class AtLevel:
    """A check of `/health/db` is at a level or worse, by the thresholds of the manifest."""

    check: str
    level: Level


@dataclass(frozen=True, slots=True)
class Overdue:
    """Nothing was sampled for several intervals of the manifest."""


Condition = Beyond | Missing | Every | Some


class Severity(StrEnum):
    """Who should get up."""

    WARNING = "warning"  # in working hours
    CRITICAL = "critical"  # now


class Part(StrEnum):
    """What a stead may not have."""

    POOLER = "pooler"
    BACKUP = "backup"


@dataclass(frozen=True, slots=True)
class Runbook:
    """What to know and to do."""

    meaning: str
    look: str
    act: str


@dataclass(frozen=True, slots=True)
class AlertRule:
    """A line of the rule table."""

    name: str
    condition: Condition | AtLevel | Overdue
    hold: float  # seconds that it has to be true (Prometheus: `for`)
    severity: Severity
    requirements: tuple[str, ...]
    summary: str
    runbook: Runbook
    fault: str  # what makes it fire; tests do that
    needs: Part | None = None
    family: str = ""  # of one family a warning is not told while a critical one fires


@dataclass(frozen=True, slots=True)
class ActiveRule:
    """A rule as it is evaluated on a stead: its limits are known."""

    rule: AlertRule
    condition: Condition
    hold: float


class Phase(StrEnum):
    """What an alert is in."""

    INACTIVE = "inactive"
    PENDING = "pending"  # true, but not for long enough
    FIRING = "firing"


@dataclass(frozen=True, slots=True)
class AlertState:
    """An alert now. `held` counts seconds of a clock that nobody sets."""

    name: str
    phase: Phase
    since: datetime  # when it came into the phase, by the clock on the wall
    held: float
    at: datetime  # when it was evaluated last
    value: float | None = None
    reason: str = ""  # which of several it is, or why nobody knows


@dataclass(frozen=True, slots=True)
class Transition:
    """A line of the history."""

    name: str
    was: Phase
    became: Phase
    at: datetime
    value: float | None
    reason: str


@dataclass(frozen=True, slots=True)
class Silence:
    """An alert that is not told for a while; `name` may end in `*`."""

    number: int
    name: str
    until: datetime
    reason: str
    by: str
    made: datetime


@dataclass(frozen=True, slots=True)
class Told:
    """What a target was told last of an alert."""

    target: str
    name: str
    phase: Phase
    at: datetime


@dataclass(frozen=True, slots=True)
class TargetState:
    """How telling a target went."""

    name: str
    ok: datetime | None  # when it took something last
    failed: datetime | None
    error: str = ""
    failures: int = 0  # in a row


@dataclass(frozen=True, slots=True)
class TargetFile:
    """A file with addresses of targets: one a line, secrets and all; never read into a plan."""

    path: str
    name: str = ""  # empty: the lines have names


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The dead-man's switch: who hears nothing for longer than this knows that we are gone."""

    path: str  # a file with the URL
    interval: float


@dataclass(frozen=True, slots=True)
class AlertPlan:
    """How a stead alerts. Spans in seconds."""

    rules: tuple[ActiveRule, ...]
    off: tuple[str, ...]  # switched off, each by a signed waiver
    targets: tuple[TargetFile, ...]
    repeat: float
    heartbeat: Heartbeat | None
    file: str


@dataclass(frozen=True, slots=True)
class Seen:
    """What conditions are evaluated on: newest values by metric, and those of the past."""

    now: datetime
    newest: Mapping[str, tuple[Sample, ...]]
    fresh: bool = True  # False: nothing was sampled lately
    past: Mapping[str, tuple[Sample, ...]] = field(default_factory=dict[str, tuple[Sample, ...]])
