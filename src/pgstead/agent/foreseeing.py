"""What the agent foresees: when capacity ends, as samples that alerts are raised from (TEL-7)."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from pgstead.errors import SteadError
from pgstead.model.telemetry import REMAINING as FORESEEN
from pgstead.model.telemetry import Cadence, Metric, MetricKind, Sample, TelemetryPlan
from pgstead.model.upkeep import Outcome, unsettled
from pgstead.plan.advice import forecast
from pgstead.plan.advice.forecast import End
from pgstead.ports import Ports
from pgstead.ports.telemetry import SampleStore

_DAYS = 31
_PAUSE = 600.0  # seconds between two forecasts at the most
_SHARE = 100  # one second of reckoning in as many

REMAINING = Metric(
    FORESEEN,
    MetricKind.GAUGE,
    "s",
    "Until a limit is met if what was sampled grows on like this; only what ends within a year.",
    ("capacity", "datname"),
    Cadence.SLOW,
    most=len(forecast.CAPACITIES),
    each=True,
)
FAILING = Metric(
    "pgstead_upkeep_failing",
    MetricKind.GAUGE,
    "{chore}",
    "Chores of upkeep that failed when they were tried last.",
    cadence=Cadence.SLOW,
)
METRICS = (REMAINING, FAILING)


class Foreseeing:
    """Reckons now and then; tells with each slow look."""

    def __init__(self, plan: TelemetryPlan, ports: Ports) -> None:
        """Reckon nothing yet."""
        self._pause = min(_PAUSE, plan.slow_interval * 0.9)
        self._ports = ports
        self._due = 0.0
        self._ends: tuple[End, ...] = ()

    def reckon(self, store: SampleStore, there: Sequence[Sample]) -> None:
        """Reckon anew where that is due, of the series that are there. Raises SteadError."""
        began = time.monotonic()
        if began < self._due:
            return
        now = datetime.now(UTC)
        begun = now - timedelta(days=_DAYS)
        series = {(s.metric, s.attributes) for s in there}
        history = {
            c.metric: [
                s for s in store.history(c.metric, begun) if (s.metric, s.attributes) in series
            ]
            for c in forecast.CAPACITIES
        }
        self._ends = forecast.ends(history, now)
        self._due = began + max(self._pause, _SHARE * (time.monotonic() - began))

    def samples(self) -> Iterator[Sample]:
        """Yield what was foreseen, and how upkeep fares."""
        now = datetime.now(UTC)
        for end in self._ends:
            place = (("capacity", end.capacity), ("datname", end.database))
            left = max(0.0, (end.at - now).total_seconds())
            yield Sample(REMAINING.name, left, now, place, f"{end.name} until {end.at:%F %H:%M}Z")
        yield self._failing(now)

    def _failing(self, now: datetime) -> Sample:
        history = self._ports.upkeep
        if history is None:
            return Sample(FAILING.name, None, now, reason="nothing is remembered of upkeep")
        try:
            left = unsettled(history.chores(), history.runs())
        except SteadError:
            reason = "the history of upkeep cannot be read"
            return Sample(FAILING.name, None, now, reason=reason)
        failing = [c for c in left if c.outcome is Outcome.FAILED]
        said = "; ".join(f"{c.work} {c.schema}.{c.name}: {c.error}" for c in failing[:3])
        return Sample(FAILING.name, float(len(failing)), now, reason=said)
