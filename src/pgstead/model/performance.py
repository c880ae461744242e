"""What a service has counted of its own database: samples of its histograms and counters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Counted:
    """One sample of `/metrics`."""

    name: str
    labels: Mapping[str, str]
    value: float
