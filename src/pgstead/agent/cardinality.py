"""How many series there are, and how many there can be: what a time series database pays for."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from pgstead.agent.sampling import Sampler
from pgstead.model.design import Design
from pgstead.model.telemetry import TelemetryPlan
from pgstead.ports import Ports
from pgstead.ports.telemetry import TelemetryPorts


@dataclass(frozen=True, slots=True)
class Cardinality:
    """Of one metric."""

    metric: str
    series: int  # that have a sample
    most: int  # that there can be, whatever the databases hold
    attributes: tuple[str, ...]


def cardinality(
    design: Design, plan: TelemetryPlan, ports: Ports, own: TelemetryPorts
) -> tuple[Cardinality, ...]:
    """Return all metrics of samples, those with the most series first.

    Raises StateDirectoryError where the samples cannot be read.
    """
    there = Counter(sample.metric for sample in own.store.newest() if sample.value is not None)
    databases = len(design.databases)
    declared = {m.name: m for m in Sampler(design, plan, ports, own).metrics()}
    found = [
        Cardinality(name, there[name], metric.bound(databases), metric.attributes)
        for name, metric in declared.items()
    ]
    return tuple(sorted(found, key=lambda c: (-c.series, -c.most, c.metric)))
