"""When disk, memory, connections, transaction numbers and sequences meet their limits (TEL-7)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pgstead.model.advice import (
    Diagnosis,
    Figure,
    Finding,
    Severity,
    Subject,
    Table,
    Unseen,
)
from pgstead.model.telemetry import Sample
from pgstead.plan.trend import Trend, fit

SAMPLES = 30
SPAN = 6 * 3600.0  # seconds; what grows by day and shrinks by night needs more, and says so
WARNING, CRITICAL = timedelta(days=30), timedelta(days=7)
REACH = timedelta(days=365)
_DAY = 86_400.0
# Of 80 columns the dates come first: what is cut is the end of a long name.
_COLUMNS = ("meets limit", "earliest", "latest", "used", "a day", "samples", "what")
_UNITS = ("", "", "", "1", "", "{sample}", "")
# https://www.postgresql.org/docs/current/routine-vacuuming.html#VACUUM-FOR-WRAPAROUND: three
# million before the end the server assigns no more transaction numbers.
_WRAPAROUND = 2**31 - 1 - 3_000_000.0


@dataclass(frozen=True, slots=True)
class Capacity:
    """A metric with a limit."""

    metric: str
    what: str
    unit: str
    limit: float
    do: str


CAPACITIES = (
    Capacity(
        "pgstead_filesystem_used_ratio", "disk", "1", 1.0,
        "make room or enlarge the file system; see `pgstead inspect bloat`",
    ),
    Capacity(
        "pgstead_filesystem_inodes_used_ratio", "inodes", "1", 1.0,
        "make room: a file system without inodes is full too",
    ),
    Capacity(
        "pgstead_memory_used_ratio", "memory", "1", 1.0,
        "give the machine more, or the stead less: server.memory in the manifest",
    ),
    Capacity(
        "pg_connections_used_ratio", "connections", "1", 1.0,
        "look for a leak: `pgstead inspect connections`; the budget is the manifest's",
    ),
    Capacity(
        "pg_database_xid_age", "xids", "{transaction}", _WRAPAROUND,
        "find out who holds back vacuum: `pgstead inspect vacuum`",
    ),
    Capacity(
        "pg_database_mxid_age", "multixacts", "{transaction}", _WRAPAROUND,
        "find out who holds back vacuum: `pgstead inspect vacuum`",
    ),
    Capacity(
        "pg_sequence_used_ratio", "sequence", "1", 1.0,
        "make it bigint in stages: docs/how-to/change-tables-in-stages.md",
    ),
)  # fmt: skip
_Attributes = tuple[tuple[str, str], ...]
_Cell = str | float | None


@dataclass(frozen=True, slots=True)
class _Series:
    capacity: Capacity
    of: str  # which one: a place, a database, a sequence
    database: str
    trend: Trend | None
    samples: int
    span: float
    newest: float | None  # the value

    @property
    def known(self) -> bool:
        return self.trend is not None and self.samples >= SAMPLES and self.span >= SPAN


def diagnose(history: Mapping[str, Sequence[Sample]], now: datetime) -> Diagnosis:
    """Return what meets its limit when; `history` holds the samples by metric."""
    series = [s for c in CAPACITIES for s in _by_series(c, history.get(c.metric, ()))]
    unseen = [
        Unseen(c.what, "it was never sampled") for c in CAPACITIES if not history.get(c.metric)
    ]
    findings = sorted((f for s in series for f in _found(s, now)), key=lambda f: f.severity.value)
    rows = [_row(s, now) for s in series]
    tables = (
        (Table("capacity, and when it is used up", _COLUMNS, tuple(rows), _UNITS),) if rows else ()
    )
    return Diagnosis(Subject.FORECAST, now, tuple(findings), (*unseen, *_too_few(series)), tables)


@dataclass(frozen=True, slots=True)
class End:
    """When a capacity ends: of its series in a database the one that ends first."""

    capacity: str
    database: str
    name: str
    at: datetime


def ends(history: Mapping[str, Sequence[Sample]], now: datetime) -> tuple[End, ...]:
    """Return what ends within a year, the first of each capacity and database."""
    first: dict[tuple[str, str], End] = {}
    for capacity in CAPACITIES:
        for series in _by_series(capacity, history.get(capacity.metric, ())):
            met = _meets(series)
            if met is None:
                continue
            end = End(capacity.what, series.database, _name(series), max(met[0], now))
            key = (end.capacity, end.database)
            first[key] = min(end, first.get(key, end), key=lambda e: e.at)
    return tuple(first.values())


def empty(reason: str) -> Diagnosis:
    """Return that nothing is known, and why."""
    unseen = (Unseen("capacity", reason),)
    return Diagnosis(Subject.FORECAST, datetime.now(UTC), (), unseen, ())


def _by_series(capacity: Capacity, samples: Iterable[Sample]) -> Iterator[_Series]:
    by: dict[_Attributes, list[tuple[float, float]]] = {}
    for sample in samples:
        points = by.setdefault(sample.attributes, [])
        if sample.value is not None:
            points.append((sample.at.timestamp(), sample.value))
    for attributes, points in by.items():
        if not points:
            continue
        points.sort()
        told = dict(attributes)
        yield _Series(
            capacity,
            ".".join(value for key, value in attributes if key != "datname") or "",
            told.get("datname", ""),
            fit(points),
            len(points),
            points[-1][0] - points[0][0],
            points[-1][1],
        )


def _meets(series: _Series) -> tuple[datetime, datetime, datetime | None] | None:
    """Return when the limit is met, at the earliest, at the latest; None: not within REACH."""
    trend, limit = series.trend, series.capacity.limit
    if trend is None or not series.known or not (trend.grows or trend.level >= limit):
        return None
    seconds = trend.until(limit)
    if seconds is None or seconds > REACH.total_seconds():
        return None
    end = datetime.fromtimestamp(trend.end, UTC)
    first, last = trend.until(limit, trend.most), trend.until(limit, trend.least)
    latest = None
    if last is not None and last < 10 * REACH.total_seconds():
        latest = end + timedelta(seconds=last)
    return end + timedelta(seconds=seconds), end + timedelta(seconds=first or 0.0), latest


def _name(series: _Series) -> str:
    return " ".join(filter(None, (series.capacity.what, series.database, series.of)))


def _row(series: _Series, now: datetime) -> tuple[_Cell, ...]:
    trend, limit = series.trend, series.capacity.limit
    used = None if series.newest is None else series.newest / limit
    rest = (float(series.samples), _name(series))
    if trend is None or not series.known:
        return ("not known", "", "", used, "not known", *rest)
    daily = f"{trend.slope * _DAY / limit:+.3%}"
    met = _meets(series)
    if met is None:
        return ("over a year" if trend.grows else "does not grow", "", "", used, daily, *rest)
    latest = f"{met[2]:%Y-%m-%d}" if met[2] is not None else "?"
    return (_day(met[0], now), f"{met[1]:%Y-%m-%d}", latest, used, daily, *rest)


def _day(moment: datetime, now: datetime) -> str:
    return "now" if moment <= now else f"{moment:%Y-%m-%d}"


def _date(moment: datetime, now: datetime) -> str:
    return "now" if moment <= now else f"{moment:%Y-%m-%d %H:%M}"


def _found(series: _Series, now: datetime) -> Iterator[Finding]:
    met, trend = _meets(series), series.trend
    if met is None or trend is None or met[0] - now > WARNING:
        return
    begun = datetime.fromtimestamp(trend.end - trend.span, UTC)
    end = datetime.fromtimestamp(trend.end, UTC)
    unit = series.capacity.unit
    latest = met[2].isoformat(timespec="minutes") if met[2] is not None else "not known"
    yield Finding(
        "capacity-ends",
        Severity.CRITICAL if met[0] - now <= CRITICAL else Severity.WARNING,
        series.database,
        f"{_name(series)} meets its limit on {_date(met[0], now)} UTC if it grows on like this",
        (
            Figure("meets its limit", met[0].isoformat(timespec="seconds")),
            Figure("earliest", met[1].isoformat(timespec="minutes")),
            Figure("latest", latest),
            Figure("now", series.newest, unit),
            Figure("limit", series.capacity.limit, unit),
            Figure("a day", trend.slope * _DAY, unit),
            Figure("samples", trend.samples, "{sample}"),
        ),
        f"{begun:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC",
        series.capacity.do,
    )


def _too_few(series: Sequence[_Series]) -> Iterator[Unseen]:
    young = [s for s in series if not s.known]
    if young:
        most = max(young, key=lambda s: s.samples)
        yield Unseen(
            f"the growth of {len(young)} of {len(series)}",
            f"at most {most.samples} samples over {most.span / 3600:.1f} h;"
            f" {SAMPLES} over {SPAN / 3600:.0f} h are needed",
        )
