"""The last hours as lines: which metrics a chart shows, and how their series become few."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pgstead.app.dashboard.charts import Frame, Line
from pgstead.app.telemetry.samples import Samples, Series

_BUCKETS = 120
_GAP = 3  # looks of the agent that may be missing until a line is broken


@dataclass(frozen=True, slots=True)
class Drawn:
    """A metric in a chart: one line, or one for each value of an attribute.

    `rest` makes it a share: metric / (metric + rest); where both stood still nobody knows it.
    """

    metric: str
    label: str
    by: str = ""
    rest: str = ""
    over: str = ""  # a quotient: metric / over


@dataclass(frozen=True, slots=True)
class Plot:
    """What one chart shows; a counter is shown per second."""

    title: str
    unit: str
    drawn: tuple[Drawn, ...]
    top: float | None = None  # where the scale ends, else where the values do
    empty: str = "it was not sampled in this time"


HOURS: tuple[Plot, ...] = (
    Plot("Transactions a second", "", (
        Drawn("pg_stat_database_xact_commit_total", "committed"),
        Drawn("pg_stat_database_xact_rollback_total", "rolled back"),
    )),
    Plot("Sessions by what they do", "", (Drawn("pg_stat_activity_count", "", by="state"),)),
    Plot("Longest wait in the pooler's queue", "s", (
        Drawn("pgbouncer_pools_client_maxwait_seconds", "", by="database"),
    ), empty="there is no pooler, or it did not answer"),
    Plot("Clients of the pooler", "", (
        Drawn("pgbouncer_pools_client_active_connections", "active"),
        Drawn("pgbouncer_pools_client_waiting_connections", "waiting"),
    ), empty="there is no pooler, or it did not answer"),
    Plot("A query without work", "s", (Drawn("pgstead_probe_seconds", "", by="datname"),)),
    Plot("Blocks found in shared buffers", "1", (
        Drawn("pg_stat_database_blks_hit_total", "cache hits",
              rest="pg_stat_database_blks_read_total"),
    ), top=1.0, empty="no block was read in this time, or nobody looked"),
    Plot("WAL written a second", "By/s", (Drawn("pg_stat_wal_bytes_total", "WAL"),)),
    Plot("Replication and archive: bytes behind", "By", (
        Drawn("pg_stat_replication_write_lag_bytes", "not written by ", by="application_name"),
        Drawn("pg_replication_slots_retained_bytes", "kept for slot ", by="slot_name"),
    ), empty="nobody receives WAL and there is no slot, or nobody looked"),
    Plot("Oldest WAL segment that waits for its archiving", "s", (
        Drawn("pg_archiver_oldest_ready_seconds", "oldest segment"),
    ), empty="nothing is archived by the server, or nobody looked"),
    Plot("Disk used", "1", (Drawn("pgstead_filesystem_used_ratio", "", by="place"),), top=1.0),
    Plot("Memory used", "1", (Drawn("pgstead_memory_used_ratio", "of host or limit"),), top=1.0),
    Plot("Sessions that wait for a lock", "", (Drawn("pg_blocked_backends", "waiting"),)),
)  # fmt: skip

STATEMENTS: tuple[Plot, ...] = (
    Plot("Statements a second", "", (
        Drawn("pg_stat_statements_calls_total", "", by="datname"),
    ), empty="pg_stat_statements was not read in this time"),
    Plot("Mean time of a statement", "s", (
        Drawn("pg_stat_statements_exec_seconds_total", "", by="datname",
              over="pg_stat_statements_calls_total"),
    ), empty="no statement ended in this time, or nobody looked"),
    Plot("Oldest running statement", "s", (
        Drawn("pg_statement_max_seconds", "statement"),
        Drawn("pg_transaction_max_seconds", "transaction"),
    )),
)  # fmt: skip

LOCKS: tuple[Plot, ...] = (
    Plot("Sessions that wait for a lock", "", (Drawn("pg_blocked_backends", "waiting"),)),
    Plot("Longest wait for a lock", "s", (Drawn("pg_blocked_max_seconds", "longest wait"),)),
    Plot("What active sessions wait for", "", (
        Drawn("pg_backends_waiting", "", by="wait_event_type"),
    )),
    Plot("Deadlocks a second", "", (Drawn("pg_stat_database_deadlocks_total", "deadlocks"),)),
)  # fmt: skip


def frame(hours: int, interval: float) -> Frame:
    """Return the last hours, in buckets that hold two looks at least."""
    bucket = max(hours * 3600.0 / _BUCKETS, 2 * interval)
    count = round(hours * 3600.0 / bucket)
    # whole buckets: the same page a second later shows the same lines
    until = (time.time() // bucket + 1) * bucket
    return Frame(until - count * bucket, bucket, count, max(1, round(_GAP * interval / bucket)))


def lines(samples: Samples, plot: Plot, over: Frame) -> Sequence[Line]:
    """Return the lines of a plot. Raises UnreadableSamplesError."""
    return [line for drawn in plot.drawn for line in _lines(samples, drawn, over)]


def _lines(samples: Samples, drawn: Drawn, over: Frame) -> Iterable[Line]:
    other = drawn.rest or drawn.over
    others = _by(samples, other, drawn.by, over) if other else None
    for name, told in _by(samples, drawn.metric, drawn.by, over).items():
        points = told
        if others is not None:
            part = others.get(name) or dict[int, float | None]()
            points = {at: _quotient(v, part.get(at), drawn) for at, v in told.items()}
        label = f"{drawn.label}{name}" or "all"
        yield Line(label, tuple(sorted(points.items())))


def _quotient(value: float | None, other: float | None, drawn: Drawn) -> float | None:
    if value is None or other is None:
        return None
    whole = other if drawn.over else value + other
    return value / whole if whole > 0 else None


def _by(
    samples: Samples, metric: str, attribute: str, over: Frame
) -> Mapping[str, dict[int, float | None]]:
    """Return sums over all series that have the same attribute."""
    found: dict[str, dict[int, float | None]] = {}
    for series in samples.series(metric, over.since, over.bucket):
        line = found.setdefault(dict(series.attributes).get(attribute, ""), {})
        _add(line, series)
    return found


def _add(line: dict[int, float | None], series: Series) -> None:
    for point in series.points:
        known = line.get(point.bucket)
        if point.mean is None:
            line.setdefault(point.bucket, None)
        else:
            line[point.bucket] = point.mean + (known or 0.0)
