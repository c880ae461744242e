"""Samples and instruments as Prometheus reads them: text 0.0.4 or OpenMetrics, by Accept.

Names follow OpenTelemetry's rules for Prometheus: dots become underscores, the unit is part of
the name, a counter ends in _total. What is not known, or not of now, is absent.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby, pairwise
from typing import Any

from opentelemetry.sdk.metrics.export import (
    Gauge,
    Histogram,
    HistogramDataPoint,
    InMemoryMetricReader,
    Metric,
    MetricsData,
    Sum,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.metrics_core import Metric as Family

from pgstead.app.telemetry.samples import Current, Judged
from pgstead.model.telemetry import Level

_UNITS: Mapping[str, str] = {"s": "_seconds", "By": "_bytes", "1": "_ratio"}
_WRONG = re.compile(r"[^a-zA-Z0-9_]")
_LEVELS: Mapping[Level, float] = {
    Level.OK: 0,
    Level.WARNING: 1,
    Level.CRITICAL: 2,
    Level.UNKNOWN: -1,
}


class Exposition:
    """What is exposed once; a collector as prometheus_client takes one."""

    def __init__(self, families: Sequence[Family]) -> None:
        """Keep what is exposed."""
        self._families = families

    def collect(self) -> Sequence[Family]:
        """Return the families."""
        return self._families

    def encoded(self, accept: str) -> tuple[bytes, str]:
        """Return the text in the best format that a client accepts, and its media type."""
        encoder, media_type = choose_encoder(accept)
        registry: Any = self
        return encoder(registry), media_type


def of_samples(samples: Sequence[Current], judged: Sequence[Judged]) -> Iterator[Family]:
    """Yield the samples of now; those that are unknown or old are absent."""
    now = time.time()
    known = [s for s in samples if s.value is not None and s.fresh(now)]
    for name, group in groupby(known, key=lambda s: s.metric):
        series = [*group]
        labels = sorted({label for s in series for label, _ in s.attributes})
        first = series[0]
        make = CounterMetricFamily if first.kind == "counter" else GaugeMetricFamily
        family = make(name, first.description, labels=labels)
        for sample in series:
            told = dict(sample.attributes)
            assert sample.value is not None
            family.add_metric([told.get(label, "") for label in labels], sample.value)
        yield family
    if samples:
        age = GaugeMetricFamily("pgstead_sample_age_seconds", "Since the agent sampled last.")
        age.add_metric([], max(0.0, now - max(s.at for s in samples)))
        yield age
    yield from _levels(judged)


def _levels(judged: Sequence[Judged]) -> Iterator[Family]:
    text = "0: ok, 1: warning, 2: critical, -1: unknown; the fields of /health/db."
    family = GaugeMetricFamily("pgstead_check_level", text, labels=["check"])
    for check in judged:
        if check.level in _LEVELS:
            family.add_metric([check.name], _LEVELS[check.level])
    if judged:
        yield family


def of_instruments(reader: InMemoryMetricReader) -> Iterator[Family]:
    """Yield what the process's own instruments have measured."""
    data: MetricsData | None = reader.get_metrics_data()
    for resource in data.resource_metrics if data is not None else ():
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                yield from _family(metric)


def _family(metric: Metric) -> Iterator[Family]:
    data = metric.data
    points: Sequence[Any] = data.data_points
    if not points:
        return
    labels = sorted({label for point in points for label in _told(point)})
    counts = isinstance(data, Sum) and data.is_monotonic
    name = name_of(metric.name, metric.unit or "", counts=counts)
    text = metric.description or metric.name
    if isinstance(data, Histogram):
        family = HistogramMetricFamily(name, text, labels=labels)
        for point in points:
            family.add_metric(_values(point, labels), _buckets(point), point.sum)
        yield family
    elif isinstance(data, (Sum, Gauge)):
        make = CounterMetricFamily if counts else GaugeMetricFamily
        plain = make(name, text, labels=labels)
        for point in points:
            plain.add_metric(_values(point, labels), point.value)
        yield plain


def name_of(name: str, unit: str, *, counts: bool) -> str:
    """Return the name that Prometheus has for an instrument, without _total."""
    plain = _plain(name)
    suffix = _UNITS.get(unit, "")
    if suffix == "_ratio" and counts:
        suffix = ""
    return plain if plain.endswith(suffix) else f"{plain}{suffix}"


def _plain(name: str) -> str:
    return _WRONG.sub("_", name)


def _told(point: Any) -> dict[str, str]:
    attributes: Mapping[str, Any] = point.attributes or {}
    return {_plain(key): str(value) for key, value in attributes.items()}


def _values(point: Any, labels: Sequence[str]) -> list[str]:
    told = _told(point)
    return [told.get(label, "") for label in labels]


def _buckets(point: HistogramDataPoint) -> list[tuple[str, float]]:
    bounds = [*map(_written, point.explicit_bounds), "+Inf"]
    found: list[tuple[str, float]] = []
    total = 0
    for bound, count in zip(bounds, point.bucket_counts, strict=True):
        total += count
        found.append((bound, total))
    assert all(a[1] <= b[1] for a, b in pairwise(found))
    return found


def _written(bound: float) -> str:
    return repr(float(bound))
