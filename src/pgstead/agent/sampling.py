"""The sampler: looks at everything each interval, writes it down, and judges it.

Each target has a lane of its own (observe.lanes), so a server that hangs costs a deadline and no
other target its samples. What the sampler itself costs is sampled too.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psycopg

from pgstead.agent import damages, foreseeing, noting
from pgstead.agent.blocking import Blocking
from pgstead.agent.clock_watch import ClockWatch
from pgstead.agent.foreseeing import Foreseeing
from pgstead.agent.noting import Noting
from pgstead.catalog.health_checks import CHECKS
from pgstead.errors import SteadError
from pgstead.model.backup import Ending, Run, Task
from pgstead.model.design import Design
from pgstead.model.statements import StatementWindow
from pgstead.model.telemetry import (
    LASTING_DAYS,
    LOOK_SECONDS,
    STALE_AFTER,
    Cadence,
    Metric,
    MetricKind,
    Sample,
    TelemetryPlan,
    Verdict,
)
from pgstead.observe import metric_files, pooler_metrics, telemetry
from pgstead.observe.lanes import Connection, Lane, Silence
from pgstead.observe.metric_files import MetricQuery
from pgstead.observe.statements import StatementWatch
from pgstead.observe.telemetry import Look
from pgstead.plan import health, statement_windows
from pgstead.ports import Ports
from pgstead.ports.telemetry import TelemetryPorts

_PATIENCE = 4.0  # seconds for all lanes together, at the most
_TIDY = 3600.0  # seconds between two removals of what is old
_COMPARED = 86_400.0  # seconds that a statement is compared with
_CLUSTER = "postgres"
_GAUGE = MetricKind.GAUGE

SECONDS = Metric(LOOK_SECONDS, _GAUGE, "s", "How long the last look took.")
CPU = Metric("pgstead_sampler_cpu_seconds", _GAUGE, "s", "CPU time of the agent during it.")
COUNT = Metric("pgstead_sampler_series", _GAUGE, "{series}", "Series that it gave.")
BACKUP_AGE = Metric(
    "pgstead_backup_age_seconds", _GAUGE, "s", "Since the last base backup that succeeded."
)
REGRESSED = Metric(
    "pgstead_statements_regressed",
    _GAUGE,
    "{statement}",
    "Statements that take twice as long as before, or longer.",
    ("datname",),
    Cadence.SLOW,
    each=True,
)
DRILL_AGE = Metric("pgstead_drill_age_seconds", _GAUGE, "s", "Since a drill last proved a restore.")
OWN = (
    *(SECONDS, CPU, COUNT, BACKUP_AGE, DRILL_AGE, REGRESSED, damages.DAMAGES),
    *(*noting.METRICS, *foreseeing.METRICS),
)


class Sampler:
    """Looks, writes down, judges."""

    def __init__(
        self, design: Design, plan: TelemetryPlan, ports: Ports, own: TelemetryPorts
    ) -> None:
        """Open nothing yet."""
        self._design = design
        self._plan = plan
        self._ports = ports
        self._own = own
        self._queries = metric_files.queries(design.build.major)
        self._lanes = {name: self._lane(name) for name in self._databases()}
        self._console: Lane[Look] | None = None
        if design.pooler is not None:
            self._console = Lane("pooler", own.monitor.console)
        self._watches = {
            d.name: StatementWatch(d.name, design.build.major) for d in design.databases
        }
        self._noting = Noting(design, plan, ports)
        self._foreseeing = Foreseeing(plan, ports)
        self._clock = ClockWatch()
        self._silent: set[str] = set()  # who did not answer in the last look
        self._blocking = Blocking(design, own.monitor)
        self._slow_due = 0.0
        # first and last moment of what was written last, by how often it is looked at
        self._written: dict[Cadence, tuple[datetime, datetime]] = {}
        self._tidy_due = 0.0
        self._declared = False

    def _databases(self) -> list[str]:
        return list(dict.fromkeys([_CLUSTER, *(d.name for d in self._design.databases)]))

    def _lane(self, database: str) -> Lane[Look]:
        return Lane(database, lambda: self._own.monitor.connect(database))

    def close(self) -> None:
        """Let go of every connection."""
        for lane in self._lanes.values():
            lane.close()
        if self._console is not None:
            self._console.close()

    def look(self) -> None:
        """Look once. Raises StateDirectoryError where what was seen cannot be kept."""
        began, cpu = time.monotonic(), time.process_time()
        if self._clock.jumped():
            self._slow_due = 0.0  # what was looked at before lies in another time
        slow = began >= self._slow_due
        if slow:
            self._slow_due = began + self._plan.slow_interval - self._plan.interval / 2
        found = [*self._looked(slow=slow)]
        at = telemetry.now()
        found.append(Sample(SECONDS.name, time.monotonic() - began, at))
        found.append(Sample(CPU.name, time.process_time() - cpu, at))
        found.append(Sample(COUNT.name, float(len(found) + 1), at))
        self._keep(found, slow=slow)

    def _looked(self, *, slow: bool) -> Iterator[Sample]:
        wanted = {name: self._wanted(name, slow=slow) for name in self._lanes}
        deadline = time.monotonic() + min(_PATIENCE, max(self._plan.interval * 0.8, 0.8))
        for name, lane in self._lanes.items():
            lane.begin(self._asking(name, wanted[name], slow=slow))
        if self._console is not None:
            self._console.begin(pooler_metrics.look)
        # what never hangs is looked at while the others answer
        yield from self._own.vitals.look(slow=slow)
        yield from self._backups()
        if slow:
            yield from self._noting.samples()
            yield from self._foreseeing.samples()
            yield damages.sample(self._ports)
            yield from self._too_new()
        for name, lane in self._lanes.items():
            told = lane.end(deadline)
            self._heard(name, told)
            if name == _CLUSTER:
                yield telemetry.up(told)
            if isinstance(told, Look):
                yield from told.samples
                if slow and name in self._watches:
                    yield from self._regressed(name, told)
            else:
                yield from telemetry.silent(wanted[name], name, told, probed=name != _CLUSTER)
        if self._console is not None:
            told = self._console.end(deadline)
            self._heard(self._console.name, told)
            yield from told.samples if isinstance(told, Look) else pooler_metrics.silent(told)

    def _heard(self, name: str, told: Look | Silence) -> None:
        """Have the next look be slow where somebody answers again: what is slow is unknown."""
        if isinstance(told, Silence):
            self._silent.add(name)
        elif name in self._silent:
            self._silent.discard(name)
            self._slow_due = 0.0

    def _asking(self, name: str, wanted: Sequence[MetricQuery], *, slow: bool) -> telemetry.Asking:
        watch = self._watches.get(name) if slow else None

        def asking(connection: Connection) -> Look:
            look = telemetry.look(connection, wanted, name, probed=name != _CLUSTER)
            # without its rights it would see its own statements, and take them for all
            if watch is None or look.lacking:
                return look
            return replace(look, statements=_windows(connection, watch))

        return asking

    def _regressed(self, name: str, told: Look) -> Iterator[Sample]:
        """Keep the windows; yield how many statements are slower than they were."""
        place, at = (("datname", name),), telemetry.now()
        windows = told.statements
        if not windows:
            lacking = ", ".join(sorted(told.lacking))
            none = "no statement was counted since, or pg_stat_statements is not there"
            reason = f"the monitoring role is not of {lacking}" if lacking else none
            yield Sample(REGRESSED.name, None, at, place, reason)
            return
        store = self._own.store
        try:
            store.write_statements(windows)
        except SteadError:
            self._declared = False  # the next file knows of no metric yet
            raise
        kept = store.statements(at - timedelta(seconds=min(self._plan.retention, _COMPARED)))
        newest = windows[0].ended
        own = [w for w in kept if w.key.database == name]
        slower = [r for r in statement_windows.regressions(own) if r.ended == newest]
        yield Sample(REGRESSED.name, float(len(slower)), at, place)

    def _wanted(self, name: str, *, slow: bool) -> Sequence[MetricQuery]:
        per_database = name != _CLUSTER
        return [
            q
            for q in self._queries
            if q.per_database is per_database and (slow or q.cadence is Cadence.FAST)
        ]

    def _too_new(self) -> Iterator[Sample]:
        major = self._design.build.major
        for query in metric_files.too_new(major):
            reason = f"PostgreSQL {major} does not tell it; {query.floor} does"
            yield from telemetry.unknown(query, _CLUSTER, reason)

    def _backups(self) -> Iterator[Sample]:
        if self._ports.backup is None:
            return
        at = telemetry.now()
        try:
            runs = self._ports.backup.catalog.runs()
        except SteadError:
            for metric in (BACKUP_AGE, DRILL_AGE):
                yield Sample(metric.name, None, at, reason="the catalog of backups cannot be read")
            return
        yield _age(BACKUP_AGE, Task.BACKUP, runs, at, "no base backup was made yet")
        yield _age(DRILL_AGE, Task.DRILL, runs, at, "no drill was done yet")

    def _keep(self, found: Sequence[Sample], *, slow: bool) -> None:
        store = self._own.store
        if not self._declared:
            store.declare((m, self._stale(m.cadence)) for m in self.metrics())
            self._declared = True
        try:
            store.write(found)
            moments = [s.at for s in found]
            for cadence in Cadence if slow else (Cadence.FAST,):
                self._written[cadence] = min(moments), max(moments)
            self._judge()
            self._noting.note(store)
            self._foreseeing.reckon(store, self.current(store.newest()))
            self._blocking.note(store, found)
            self._tidy()
        except SteadError:
            self._declared = False  # the next file knows of no metric yet
            raise

    def _judge(self) -> None:
        """Judge by the newest samples: those of a slow metric are not in every look."""
        store, now = self._own.store, telemetry.now()
        before: Mapping[str, Verdict] = {v.check: v for v in store.verdicts()}
        fresh = health.by_metric(self.current(store.newest()))
        thresholds = self._plan.thresholds
        store.judge([
            (
                c,
                thresholds[c.name],
                health.judge(
                    c, thresholds[c.name], fresh.get(c.metric, ()), before.get(c.name), now
                ),
            )
            for c in CHECKS
        ])  # fmt: skip

    def current(self, every: Sequence[Sample]) -> Sequence[Sample]:
        """Return those of the last look at them: a series that it did not give any more is gone."""
        slow = frozenset(m.name for m in self.metrics() if m.cadence is Cadence.SLOW)
        return health.current(every, slow, self._written)

    def _tidy(self) -> None:
        if time.monotonic() < self._tidy_due:
            return
        self._tidy_due = time.monotonic() + _TIDY
        now = datetime.now(UTC)
        kept = timedelta(seconds=self._plan.retention)
        self._own.store.forget(now - kept, now - timedelta(days=LASTING_DAYS))

    def metrics(self) -> Iterator[Metric]:
        """Yield all that is measured here."""
        for query in (*self._queries, *metric_files.too_new(self._design.build.major)):
            yield from query.metrics
        yield from (*telemetry.OWN, *OWN, *self._own.vitals.metrics())
        if self._console is not None:
            yield from pooler_metrics.METRICS

    def _stale(self, cadence: Cadence) -> float:
        return STALE_AFTER * self._plan.cadence(cadence) + _PATIENCE


def _windows(connection: Connection, watch: StatementWatch) -> tuple[StatementWindow, ...]:
    """Return what statements took; none where the extension is not there, which metrics say."""
    try:
        return watch.look(connection)
    except psycopg.Error:
        if connection.closed or connection.broken:
            raise
        return ()


def _age(metric: Metric, task: Task, runs: Sequence[Run], at: datetime, never: str) -> Sample:
    ended = [r.ended for r in runs if r.task is task and r.ending is Ending.DONE and r.ended]
    if not ended:
        return Sample(metric.name, None, at, reason=never)
    return Sample(metric.name, (at - max(ended)).total_seconds(), at)
