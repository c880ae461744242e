"""PERF-001 and PERF-002 of the specification (APP-7), from what the services have measured.

A histogram knows how many were within a bound, not the percentile itself: 100 and 500 ms are
bounds of it, so whether a limit is met is exact, and of the percentile only its bound is told.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from pgstead.model.advice import Diagnosis, Figure, Finding, Severity, Subject, Table, Unseen
from pgstead.model.bench import ENOUGH
from pgstead.model.performance import Counted

P95, P99, ACQUIRED, FAILED = 0.1, 0.5, 0.01, 0.05
_FEW = 20  # connections; of fewer their mean is chance
_COLUMNS = ("service", "figure", "value", "limit", "samples", "verdict")
_DURATION = "db_client_operation_duration_seconds"
_WAIT = "db_client_connection_wait_time_seconds"
_TIMEOUTS = "db_client_connection_timeouts_total"
# connection exceptions, resources, and a server that goes or comes (errcodes-appendix.html)
_LOST = ("08", "53", "57P")
_SINCE = "since the service started"


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure against its limit; None where too few samples are behind it."""

    service: str
    what: str
    value: float | None
    within: str  # how the value is to be read
    limit: float
    unit: str
    samples: int
    met: bool | None


def diagnose(told: Mapping[str, Sequence[Counted]], silent: Mapping[str, str]) -> Diagnosis:
    """Return each figure with its sample count; `silent` says why a service told nothing."""
    measures = [m for service, samples in told.items() for m in measures_of(service, samples)]
    findings = tuple(_finding(m) for m in measures if m.met is False)
    unseen = (
        *(Unseen(f"service {name}", why) for name, why in silent.items()),
        *(
            Unseen(f"{m.what} of {m.service}", f"{m.samples} samples are too few")
            for m in measures
            if m.met is None
        ),
    )
    table = Table("as the services measured it", _COLUMNS, tuple(map(_row, measures)))
    tables = (table,) if measures else ()
    return Diagnosis(Subject.PERFORMANCE, datetime.now(UTC), findings, unseen, tables)


def measures_of(service: str, samples: Sequence[Counted]) -> Iterator[Measure]:
    """Yield the figures of one service."""
    good = [s for s in samples if "error_type" not in s.labels]
    buckets = _buckets(good, f"{_DURATION}_bucket")
    for name, share, limit in (("p95", 0.95, P95), ("p99", 0.99, P99)):
        yield _percentile(service, f"{name} of statements", buckets, share, limit)
    count = _sum(samples, f"{_WAIT}_count")
    enough = count >= _FEW
    mean = _sum(samples, f"{_WAIT}_sum") / count if enough else None
    yield Measure(
        service, "mean wait for a connection", mean, "", ACQUIRED, "s", int(count),
        None if mean is None else mean < ACQUIRED,
    )  # fmt: skip
    failed = _sum(samples, _TIMEOUTS) + sum(
        s.value
        for s in samples
        if s.name == f"{_DURATION}_count" and s.labels.get("error_type", "").startswith(_LOST)
    )
    tried = count + _sum(samples, _TIMEOUTS)
    share = failed / tried if tried >= _FEW else None
    yield Measure(
        service, "connections that failed", share, "", FAILED, "1", int(tried),
        None if share is None else share < FAILED,
    )  # fmt: skip


def _buckets(samples: Sequence[Counted], name: str) -> Mapping[float, float]:
    found: dict[float, float] = {}
    for sample in samples:
        if sample.name == name:
            bound = float(sample.labels["le"])
            found[bound] = found.get(bound, 0.0) + sample.value
    return dict(sorted(found.items()))


def _percentile(
    service: str, what: str, buckets: Mapping[float, float], share: float, limit: float
) -> Measure:
    count = buckets.get(math.inf, 0.0)
    if count < ENOUGH[share]:
        return Measure(service, what, None, "", limit, "s", int(count), None)
    bound = next(b for b, within in buckets.items() if within >= share * count)
    met = buckets.get(limit, 0.0) >= share * count
    if math.isinf(bound):
        bound = max(b for b in buckets if not math.isinf(b))
        return Measure(service, what, bound, "more than", limit, "s", int(count), met)
    return Measure(service, what, bound, "at most", limit, "s", int(count), met)


def _sum(samples: Sequence[Counted], name: str) -> float:
    return sum(s.value for s in samples if s.name == name)


def _row(found: Measure) -> tuple[str | float | None, ...]:
    verdict = {None: "not known", True: "met", False: "NOT met"}[found.met]
    limit = _shown(found.limit, found.unit)
    return (
        found.service, found.what, f"{found.within} {_shown(found.value, found.unit)}".strip(),
        f"below {limit}", float(found.samples), verdict,
    )  # fmt: skip


def _shown(value: float | None, unit: str) -> str:
    if value is None:
        return "not known"
    return f"{value:.2%}" if unit == "1" else f"{value * 1000:.3g} ms"


def _finding(found: Measure) -> Finding:
    return Finding(
        "slower-than-specified",
        Severity.WARNING,
        "",
        f"{found.what} of {found.service} is not within its limit",
        (
            Figure(" ".join(filter(None, ("value", found.within))), found.value, found.unit),
            Figure("limit", found.limit, found.unit),
            Figure("samples", found.samples, "{sample}"),
        ),
        _SINCE,
        "`pgstead inspect queries` shows which statements take the time, `inspect connections`"
        " whether the pool is too small, `bench compare` what got slower",
    )
