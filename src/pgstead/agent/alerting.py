"""What the agent does for alerts: evaluates each rule after each look, and has targets told.

Everything is on the disk before anybody is told, so a kill costs neither history nor a message.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from pgstead.agent.sampling import Sampler
from pgstead.model.alerts import (
    LEVELS,
    NOTE,
    SAMPLE_AGE,
    AlertPlan,
    AlertState,
    Phase,
    Seen,
    TargetState,
)
from pgstead.model.design import Design
from pgstead.model.telemetry import STALE_AFTER, Level, Sample, TelemetryPlan
from pgstead.plan import alerts, conditions, health
from pgstead.plan.alerts import Notice
from pgstead.ports import Ports
from pgstead.ports.alerts import AlertPorts, Sent
from pgstead.ports.telemetry import SampleStore

_log = logging.getLogger("pgstead.agent")
_KEPT = timedelta(days=90)  # of history
_TIDY = 3600.0  # seconds
_FIRST_PAUSE, _LONGEST_PAUSE = 5.0, 600.0  # seconds after a delivery that failed
_LEVELS: Mapping[Level, float] = {
    Level.OK: 0.0, Level.WARNING: 1.0, Level.CRITICAL: 2.0, Level.UNKNOWN: -1.0,
}  # fmt: skip


class Alerting:
    """Evaluates, remembers, tells."""

    def __init__(
        self, stead: str, plan: AlertPlan, watched: TelemetryPlan, own: AlertPorts,
        samples: SampleStore, current: Callable[[Sequence[Sample]], Iterable[Sample]],
    ) -> None:  # fmt: skip
        """Ask nobody yet. `current` leaves of samples those of series that still exist."""
        self._stead = stead
        self._plan = plan
        self._watched = watched
        self._own = own
        self._samples = samples
        self._current = current
        self._rules = {a.rule.name: a.rule for a in plan.rules}
        self._last: float | None = None  # monotonic seconds of the last evaluation
        self._tidy_due = 0.0
        self._under_way: dict[str, Notice] = {}
        self._pauses: dict[str, tuple[float, float]] = {}  # until when, and how long it was
        self._beat_due = 0.0

    def look(self) -> None:
        """Evaluate every rule once, and have told what is to be told.

        Raises StateDirectoryError where states cannot be kept.
        """
        states = self._evaluated()
        targets = self._settled()
        for name, problem in self._own.couriers.targets():
            known = targets.get(name) or TargetState(name, None, None)
            targets[name] = known if not problem else _failed(known, problem, again=False)
            if not problem:
                self._tell(name, states)
        self._beat()
        named = {name for name, _ in self._own.couriers.targets()} | {"heartbeat"}
        self._own.store.keep_targets([t for t in targets.values() if t.name in named])
        self._note(states)
        self._tidy()

    # -- rules ----------------------------------------------------------------------------------

    def _evaluated(self) -> Sequence[AlertState]:
        store, now = self._own.store, datetime.now(UTC)
        before = {s.name: s for s in store.states()}
        clock = time.monotonic()
        elapsed = 0.0 if self._last is None else clock - self._last
        seen = self._seen(now)
        states = [
            alerts.advance(active, seen, before.get(active.rule.name), elapsed)
            for active in self._plan.rules
        ]
        changes = [c for s in states if (c := alerts.transition(before.get(s.name), s))]
        store.keep(states, changes)
        self._last = clock
        for change in changes:
            if change.became is Phase.FIRING or change.was is Phase.FIRING:
                word = "fires" if change.became is Phase.FIRING else "is over"
                _log.warning("alert %s %s %s", change.name, word, change.reason)
        return states

    def _seen(self, now: datetime) -> Seen:
        wanted: dict[str, float] = {}
        for active in self._plan.rules:
            for metric, span in conditions.spans(active.condition).items():
                wanted[metric] = max(span, wanted.get(metric, 0.0))
        past = {
            metric: tuple(self._samples.history(metric, now - timedelta(seconds=span)))
            for metric, span in wanted.items()
        }
        newest = self._newest(now)
        return Seen(now, newest, fresh=LEVELS in newest, past=past)

    def _newest(self, now: datetime) -> Mapping[str, tuple[Sample, ...]]:
        """Return what is known now: what is old, or of a series that is gone, is not."""
        every = self._samples.newest()
        looked = health.looked_at(every, now)
        found: dict[str, list[Sample]] = {}
        for sample in self._current(every):
            found.setdefault(sample.metric, []).append(sample)
        age = (now - looked).total_seconds() if looked is not None else None
        limit = STALE_AFTER * self._watched.interval
        if age is None or age > limit:
            # nothing is known of now, and only that is told
            return {SAMPLE_AGE: (Sample(SAMPLE_AGE, age, now),)} if age is not None else {}
        found[SAMPLE_AGE] = [Sample(SAMPLE_AGE, max(age, 0.0), now)]
        found[LEVELS] = [
            Sample(LEVELS, _LEVELS[v.level], now, (("check", v.check),), v.reason)
            for v in self._samples.verdicts()
            if v.level in _LEVELS
        ]
        return {metric: tuple(series) for metric, series in found.items()}

    def _note(self, states: Sequence[AlertState]) -> None:
        """Write down for services what fires or soon will: they may not read who is told."""
        now = datetime.now(UTC)
        silences = self._own.store.silences()
        told = [
            {
                "name": s.name,
                "phase": s.phase.value,
                "severity": self._rules[s.name].severity.value,
                "summary": self._rules[s.name].summary,
                "since": s.since.timestamp(),
                "value": s.value,
                "reason": s.reason,
                "silenced": alerts.silenced(s.name, silences, now) is not None,
            }
            for s in sorted(states, key=lambda s: s.since)
            if s.phase is not Phase.INACTIVE
        ]
        self._samples.note(NOTE, {"alerts": told, "reason": ""})

    # -- targets --------------------------------------------------------------------------------

    def _tell(self, target: str, states: Sequence[AlertState]) -> None:
        until, _ = self._pauses.get(target, (0.0, 0.0))
        if target in self._under_way or time.monotonic() < until:
            return
        store, now = self._own.store, datetime.now(UTC)
        told = store.told(target)
        due = alerts.notice(self._rules, states, store.silences(), told, now, self._plan.repeat)
        if not due:
            return
        title, body = alerts.message(self._stead, due, self._rules)
        if self._own.couriers.carry(target, title, body):
            self._under_way[target] = due

    def _settled(self) -> dict[str, TargetState]:
        """Write down how the deliveries ended that have; return the state of each target."""
        known = {t.name: t for t in self._own.store.targets()}
        for sent in self._own.couriers.ended():
            told = self._under_way.pop(sent.target, None)
            before = known.get(sent.target) or TargetState(sent.target, None, None)
            known[sent.target] = self._after(sent, before, told)
        return known

    def _after(self, sent: Sent, before: TargetState, told: Notice | None) -> TargetState:
        now = datetime.now(UTC)
        if sent.error:
            _, pause = self._pauses.get(sent.target, (0.0, 0.0))
            pause = min(max(pause * 2, _FIRST_PAUSE), _LONGEST_PAUSE)
            self._pauses[sent.target] = (time.monotonic() + pause, pause)
            if sent.error != before.error:
                _log.error("telling %s failed: %s", sent.target, sent.error)
            return _failed(before, sent.error, again=True)
        self._pauses.pop(sent.target, None)
        if told is not None:
            phases = [(s.name, s.phase) for s in (*told.firing, *told.resolved)]
            self._own.store.tell(sent.target, phases, now)
        return replace(before, ok=now, error="", failures=0)

    def _beat(self) -> None:
        """Say that we live, when rules were evaluated; the last thing, so that it means it."""
        plan = self._plan.heartbeat
        if plan is None or time.monotonic() < self._beat_due:
            return
        if self._own.couriers.beat():
            self._beat_due = time.monotonic() + plan.interval

    def _tidy(self) -> None:
        if time.monotonic() < self._tidy_due:
            return
        self._tidy_due = time.monotonic() + _TIDY
        self._own.store.forget(datetime.now(UTC) - _KEPT)


def alerting_of(design: Design, ports: Ports, sampler: Sampler) -> Alerting | None:
    """Return what alerts, None where nobody wants to know."""
    plan, own, watched = design.alerts, ports.alerts, design.telemetry
    if plan is None or own is None or watched is None or ports.telemetry is None:
        return None
    return Alerting(design.name, plan, watched, own, ports.telemetry.store, sampler.current)


def _failed(before: TargetState, error: str, *, again: bool) -> TargetState:
    count = before.failures + 1 if again else max(before.failures, 1)
    return replace(before, failed=datetime.now(UTC), error=error, failures=count)
