"""Samples of the server: every query of metrics, asked as the monitoring role."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import psycopg

from pgstead.model.statements import StatementWindow
from pgstead.model.telemetry import Metric, MetricKind, Sample
from pgstead.observe.lanes import Connection, Silence
from pgstead.observe.metric_files import MetricQuery

UP = Metric("pg_up", MetricKind.GAUGE, "1", "1: the server answers the monitoring role.")
PROBE = Metric(
    "pgstead_probe_seconds",
    MetricKind.GAUGE,
    "s",
    "How long a query without work takes, on an open connection.",
    ("datname",),
    each=True,
)
OWN = (UP, PROBE)
_NO_EXTENSION = "42P01"


@dataclass(frozen=True, slots=True)
class Look:
    """What one connection told."""

    samples: tuple[Sample, ...]
    seconds: float
    statements: tuple[StatementWindow, ...] = ()
    lacking: frozenset[str] = frozenset()  # roles that queries need, and that we are not of


Asking = Callable[[Connection], Look]


def look(
    connection: Connection, wanted: Sequence[MetricQuery], database: str, *, probed: bool
) -> Look:
    """Ask the queries on one connection; one that fails leaves its metrics unknown.

    Raises psycopg.OperationalError where the connection is lost.
    """
    began = time.perf_counter()
    connection.execute("SELECT 1")
    probe = time.perf_counter() - began
    found = [Sample(PROBE.name, probe, now(), (("datname", database),))] if probed else []
    lacking = _lacking(connection, {query.needs for query in wanted} - {""})
    for query in wanted:
        if query.needs in lacking:
            found += unknown(query, database, f"the monitoring role is not of {query.needs}")
        else:
            found += ask(connection, query, database)
    return Look(tuple(found), time.perf_counter() - began, lacking=lacking)


def _lacking(connection: Connection, roles: AbstractSet[str]) -> frozenset[str]:
    """Return the roles whose rights we do not have.

    pg_stat_activity and its like show everybody every session, with NULL for what is hidden
    (https://www.postgresql.org/docs/current/monitoring-stats.html): sums of that would be 0.
    """
    if not roles:
        return frozenset()
    rows = connection.execute(
        "SELECT r AS role FROM unnest(%s::text[]) AS r WHERE NOT pg_has_role(r, 'USAGE')",
        (sorted(roles),),
    ).fetchall()
    return frozenset(row["role"] for row in rows)


def ask(connection: Connection, query: MetricQuery, database: str) -> list[Sample]:
    """Ask one query."""
    try:
        rows = connection.execute(query.text).fetchall()[: query.most]
    except psycopg.Error as error:
        if connection.closed or connection.broken:
            raise
        return list(unknown(query, database, words(error)))
    at = now()
    return [sample for row in rows for sample in _samples(query, row, database, at)]


def unknown(query: MetricQuery, database: str, reason: str) -> Iterator[Sample]:
    """Yield a sample without value for each metric of a query."""
    place = (("datname", database),) if query.per_database else ()
    for metric in query.metrics:
        yield Sample(metric.name, None, now(), place, reason)


def silent(
    wanted: Sequence[MetricQuery], database: str, silence: Silence, *, probed: bool
) -> list[Sample]:
    """Return what is known of a target that said nothing: that it said nothing, and why."""
    found = [s for query in wanted for s in unknown(query, database, silence.reason)]
    if probed:
        found.append(Sample(PROBE.name, None, now(), (("datname", database),), silence.reason))
    return found


def up(told: Look | Silence) -> Sample:
    """Return whether the server answers; None where it does, but not to us."""
    if isinstance(told, Look):
        return Sample(UP.name, 1.0, now())
    return Sample(UP.name, 0.0 if told.away else None, now(), reason=told.reason)


def now() -> datetime:
    """Return the time, with its zone."""
    return datetime.now(UTC)


def _samples(
    query: MetricQuery, row: dict[str, Any], database: str, at: datetime
) -> Iterator[Sample]:
    own = tuple((name, str(row[name])) for name in query.attributes)
    attributes = (("datname", database), *own) if query.per_database else own
    for metric in query.metrics:
        value = row[metric.name]
        if value is not None:
            yield Sample(metric.name, float(value), at, attributes)
        elif metric.name not in query.absent:
            reason = query.unknown.get(metric.name, "the server does not tell it")
            yield Sample(metric.name, None, at, attributes, reason)


def words(error: psycopg.Error) -> str:
    """Return why the server did not answer a question, without the statement."""
    if error.sqlstate == _NO_EXTENSION:
        return "the extension that tells it is not installed in this database"
    told = error.diag.message_primary or type(error).__name__
    return f"the server refused the question: {told} ({error.sqlstate})"
