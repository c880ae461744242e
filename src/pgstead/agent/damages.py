"""What is known to be damaged, as a sample that an alert is raised from (OPS-7)."""

from __future__ import annotations

from datetime import UTC, datetime

from pgstead.errors import SteadError
from pgstead.model.telemetry import Cadence, Metric, MetricKind, Sample
from pgstead.ports import Ports
from pgstead.workflows.damages import outstanding

_NAMED = 3  # damages that the reason names
DAMAGES = Metric(
    "pgstead_damages",
    MetricKind.GAUGE,
    "{damage}",
    "Damages that a check of integrity found, and that nobody has repaired.",
    cadence=Cadence.SLOW,
)


def sample(ports: Ports) -> Sample:
    """Return how many damages are known; unknown where nobody has looked."""
    now = datetime.now(UTC)
    if ports.care is None:
        return Sample(DAMAGES.name, None, now, reason="there is no server here to look at")
    try:
        found = outstanding(ports.care.runs)
    except SteadError:
        return Sample(DAMAGES.name, None, now, reason="the runs of integrity cannot be read")
    if found is None:
        return Sample(DAMAGES.name, None, now, reason="integrity was not looked at yet")
    said = "; ".join(f"{d.database} {d.relation}: {d.what}" for d in found[:_NAMED])
    return Sample(DAMAGES.name, float(len(found)), now, reason=said)
