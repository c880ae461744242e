"""The alerts that the agent has noted for services, which may not read who is told."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric as Family

from pgstead.app.telemetry.samples import Note


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert that fires, or soon will."""

    name: str
    phase: str
    severity: str
    summary: str
    since: float  # Unix time
    value: float | None
    reason: str
    silenced: bool

    @property
    def firing(self) -> bool:
        """It was true for long enough."""
        return self.phase == "firing"


@dataclass(frozen=True, slots=True)
class Alerts:
    """What fires and what is pending; None where nobody knows."""

    found: Sequence[Alert] | None
    reason: str

    @property
    def firing(self) -> Sequence[Alert]:
        """Those that fire."""
        return [alert for alert in self.found or () if alert.firing]


def alerts_of(note: Note | None, why: str, interval: float) -> Alerts:
    """Return what a note says; what is too old says nothing. The interval is in seconds."""
    if note is None:
        return Alerts(None, why or "the agent has not evaluated any rule yet")
    told: Mapping[str, Any] = note.body
    age = time.time() - note.at
    if told["reason"]:
        return Alerts(None, told["reason"])
    if abs(age) > 3 * interval + 5:  # one of the future is of a clock that was set back
        return Alerts(None, f"the agent has not evaluated the rules for {abs(age):.0f} s")
    return Alerts(tuple(Alert(**alert) for alert in told["alerts"]), "")


def of_alerts(alerts: Alerts) -> Iterator[Family]:
    """Yield the alerts that fire; a family without any says that none does."""
    if alerts.found is None:
        return
    text = "1: it fires here, by the agent's own evaluation; `pgstead alerts` tells more."
    family = GaugeMetricFamily("pgstead_alert_firing", text, labels=["alert", "severity"])
    for alert in alerts.firing:
        family.add_metric([alert.name, alert.severity], 1)
    yield family
    count = GaugeMetricFamily("pgstead_alerts_firing", "How many alerts fire.")
    count.add_metric([], len(alerts.firing))
    yield count
