"""Capacity: what grows is foreseen, by a reckoning of its own, and told in time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

from pgstead.errors import SteadError
from pgstead.model.address import Capability
from pgstead.model.alerts import Beyond, Newest, Phase
from pgstead.model.telemetry import REMAINING as METRIC
from pgstead.model.telemetry import Sample
from pgstead.ports.telemetry import SampleStore
from pgstead.prove.alerts import plan_of, states
from pgstead.prove.finding import Answer, CannotTryError, Finding, answer, timed
from pgstead.prove.promise import promise
from pgstead.prove.witness import Witness

_TELEMETRY = Capability.TELEMETRY
_MANY, _LONG = 30, 6 * 3600.0  # samples, seconds: of less nothing can be foreseen
_SOON = 14 * 86_400.0  # what ends within two weeks has to be told
_SURE = 0.9  # of the variance that the line explains: only what plainly grows is demanded
_NEAR = 2.0  # times: of one line by two ways
_FRESH = 3600.0
# What is demanded to be foreseen, and where each ends.
_LIMITS: Mapping[str, tuple[str, float]] = MappingProxyType({
    "pgstead_filesystem_used_ratio": ("disk", 1.0),
    "pg_connections_used_ratio": ("connections", 1.0),
    "pg_database_xid_age": ("xids", 2.0**31 - 3e6),
    "pg_sequence_used_ratio": ("sequence", 1.0),
})  # fmt: skip
_Points = Sequence[tuple[float, float]]


def _store(w: Witness) -> SampleStore:
    found = w.access.ports.telemetry
    if found is None:
        raise CannotTryError("what was sampled is not at hand here")
    return found.store


def _told(w: Witness) -> Answer[dict[tuple[str, str], float]]:
    """Return the seconds that are left as the agent tells them, by capacity and database."""
    now = datetime.now(UTC)
    with timed() as watch:
        try:
            newest = [s for s in _store(w).newest() if s.metric == METRIC]
        except SteadError as error:
            raise CannotTryError(f"the samples cannot be read: {error.message}") from error
    found = {
        (dict(s.attributes).get("capacity", ""), dict(s.attributes).get("datname", "")): s.value
        for s in newest
        if s.value is not None and (now - s.at).total_seconds() < _FRESH
    }
    said = ", ".join(f"{what} {place} {left:.0f} s" for (what, place), left in found.items())
    return answer(f"newest samples of {METRIC}", said or "none", found, watch)


def _line(points: _Points) -> tuple[float, float, float]:
    """Return slope, level at the end and share explained of least squares."""
    n = len(points)
    mean_x = sum(x for x, _ in points) / n
    mean_y = sum(y for _, y in points) / n
    across = sum((x - mean_x) * (y - mean_y) for x, y in points)
    wide = sum((x - mean_x) ** 2 for x, _ in points)
    high = sum((y - mean_y) ** 2 for _, y in points)
    slope = across / wide if wide else 0.0
    explained = across**2 / (wide * high) if wide and high else 0.0
    return slope, mean_y + slope * (points[-1][0] - mean_x), explained


def _growing(w: Witness) -> Iterator[tuple[str, str, float]]:
    """Yield what plainly grows and ends soon: capacity, database, seconds that are left."""
    now = datetime.now(UTC)
    for metric, (capacity, limit) in _LIMITS.items():
        by: dict[tuple[tuple[str, str], ...], list[Sample]] = {}
        for sample in _store(w).history(metric, now - timedelta(days=31)):
            by.setdefault(sample.attributes, []).append(sample)
        for attributes, samples in by.items():
            points = [(s.at.timestamp(), s.value) for s in samples if s.value is not None]
            if len(points) < _MANY or points[-1][0] - points[0][0] < _LONG:
                continue
            if now.timestamp() - points[-1][0] > _FRESH:
                continue  # it is gone
            slope, level, explained = _line(points)
            if slope <= 0 or explained < _SURE:
                continue
            left = (limit - level) / slope
            if left <= _SOON:
                yield capacity, dict(attributes).get("datname", ""), max(left, 0.0)


@promise(
    "CAP-001",
    "what plainly grows to its limit within two weeks is foreseen",
    requirement="TEL-7",
    capability=_TELEMETRY,
    needs=("telemetry",),
)
def growth_is_foreseen(w: Witness) -> Iterator[Finding]:
    told = _told(w)
    try:
        expected = list(_growing(w))
    except SteadError as error:
        raise CannotTryError(f"the samples cannot be read: {error.message}") from error
    missed = [
        f"{capacity} {database} in {left / 86_400:.1f} d"
        for capacity, database, left in expected
        if told.value.get((capacity, database), float("inf")) > _NEAR * left + _FRESH
    ]
    yield told.shows(
        holds=not missed,
        expected="; ".join(missed),
        hint="`pgstead logs agent` says why nothing is reckoned; `pgstead capacity`",
    )


@promise(
    "CAP-002",
    "an alert is raised where a capacity ends soon by what is foreseen",
    requirement="TEL-7 TEL-3",
    capability=_TELEMETRY,
    needs=("telemetry", "alerts"),
)
def what_is_foreseen_is_told(w: Witness) -> Iterator[Finding]:
    told, known = _told(w), states(w).value
    limits = {
        a.rule.name: a.condition.limit
        for a in plan_of(w).rules
        if isinstance(a.condition, Beyond)
        and isinstance(a.condition.operand, Newest)
        and a.condition.operand.metric == METRIC
    }
    least = min(told.value.values(), default=float("inf"))
    # what is near its limit by a tenth may have passed it since the last look
    due = [name for name, limit in limits.items() if least < 0.9 * limit]
    silent = [n for n in due if n not in known or known[n].phase is Phase.INACTIVE]
    yield told.shows(
        holds=bool(limits) and not silent,
        expected=f"{', '.join(silent)} to be pending or to fire" if limits else "a rule on it",
        hint="a waiver `alert:CapacityEnds` switches it off; else `pgstead logs agent`",
    )


PROMISES = (growth_is_foreseen, what_is_foreseen_is_told)
