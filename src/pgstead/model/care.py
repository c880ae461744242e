"""When the agent cares for data: retention, partitions, integrity."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CarePlan:
    """When the agent does what; cron(5), in UTC. Empty: never by itself."""

    retention: str = "20 1 * * *"
    partitions: str = "5 0 * * *"
    integrity: str = "30 5 * * 0"
