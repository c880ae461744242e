"""A stead whose sampler and rules a test drives itself: one look after the other, in process.

The rules are those of its plan, with nothing to wait for: `for` is 0, spans of the past are short,
and where a fault cannot reach a limit in reasonable time, the limit lies within its reach.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property

from pgstead.agent.alerting import Alerting, alerting_of
from pgstead.agent.sampling import Sampler
from pgstead.catalog.alert_rules import BY_NAME, RULES
from pgstead.catalog.health_checks import BY_NAME as CHECKS
from pgstead.design.alerts import resolved
from pgstead.errors import SteadError
from pgstead.host.sample_store import SampleFile
from pgstead.model.alerts import (
    ActiveRule,
    AgeOf,
    AlertRule,
    AtLevel,
    Beyond,
    Condition,
    Every,
    Increase,
    Missing,
    Overdue,
    Phase,
    Severity,
    Share,
    Some,
)
from pgstead.model.telemetry import TelemetryPlan, Threshold
from pgstead.ports.alerts import AlertPorts
from tests.fix_stead import LiveStead
from tests.live.alerts.receiver import Receiver

INTERVAL = 4.0  # seconds: what a look gave counts for as long
SPAN = 45.0  # seconds of the past that rates are reckoned from
SINCE = 20.0  # seconds that a crash is told of
STALE = 6.0  # seconds without a look

Limits = Mapping[str, tuple[float, float]]  # of a check, or of a rule: warning and critical


@dataclass
class Driven:
    """A stead without its agent, which is this."""

    stead: LiveStead
    receiver: Receiver
    _alerting: Alerting | None = None
    _limits: dict[str, tuple[float, float]] = field(default_factory=dict)

    @cached_property
    def watched(self) -> TelemetryPlan:
        """How it is watched: what is dear with each look, too."""
        plan = self.stead.wired.design.telemetry
        assert plan is not None
        return replace(plan, interval=INTERVAL, slow_interval=INTERVAL / 2)

    @cached_property
    def sampler(self) -> Sampler:
        """What looks."""
        wired = self.stead.wired
        assert wired.ports.telemetry is not None
        return Sampler(wired.design, self.watched, wired.ports, wired.ports.telemetry)

    @property
    def alerts(self) -> AlertPorts:
        """What is remembered, and who carries."""
        found = self.stead.wired.ports.alerts
        assert found is not None
        return found

    def rule(self, limits: Limits, *, without: Collection[str] = ()) -> None:
        """Evaluate with these limits from now on, and without some of the rules."""
        wired = self.stead.wired
        assert wired.design.alerts is not None
        rules = tuple(
            ActiveRule(a.rule, self._condition(a, limits), 0.0)
            for a in wired.design.alerts.rules
            if a.rule.name not in without
        )
        plan = replace(wired.design.alerts, rules=rules)
        design = replace(wired.design, telemetry=self.watched, alerts=plan)
        self._settle()
        self._alerting = alerting_of(design, wired.ports, self.sampler)

    def _condition(self, active: ActiveRule, limits: Limits) -> Condition:
        rule = active.rule
        found = _with_limit(rule, active.condition, self.watched, limits)
        return shortened(found, overdue=isinstance(rule.condition, Overdue))

    def _settle(self) -> None:
        """Let what is under way arrive: who is asked next has not seen it leave."""
        if self._alerting is None:
            return
        end = time.monotonic() + 30
        while self._alerting._under_way and time.monotonic() < end:
            self._alerting._settled()
            time.sleep(0.05)

    def look(self) -> None:
        """Look and judge once, as the agent does: what fails is for the next time."""
        assert self._alerting is not None
        for job in (self.sampler.look, self._alerting.look):
            with contextlib.suppress(SteadError):
                job()

    def until(self, left: Callable[[], Sequence[str]], what: str, seconds: float = 90) -> None:
        """Look until nothing is left; say what is."""
        end = time.monotonic() + seconds
        while True:
            self.look()
            if not left():
                return
            assert time.monotonic() < end, f"{what}: {self._shown(left())}"
            time.sleep(0.1)

    def _shown(self, names: Sequence[str]) -> str:
        states = {s.name: s for s in self.alerts.store.states()}
        told = [f"{n} is {states[n].phase} at {states[n].value} {states[n].reason}"
                for n in names if n in states]  # fmt: skip
        targets = [f"{t.name}: {t.error}" for t in self.alerts.store.targets() if t.error]
        return "; ".join([*told, *(n for n in names if n not in states), *targets])

    def not_in(self, names: Sequence[str], phase: Phase) -> list[str]:
        """Return the alerts that are in another phase."""
        states = {s.name: s.phase for s in self.alerts.store.states()}
        return [n for n in names if states.get(n) is not phase]

    def value(self, name: str) -> float:
        """Return what a rule was judged by last, 0 where there was nothing to judge by."""
        found = next((s.value for s in self.alerts.store.states() if s.name == name), None)
        return found or 0.0

    def change(self, name: str, became: Phase) -> int:
        """Return the place in the history where an alert came into a phase last, 0 for never."""
        history = self.alerts.store.history(100_000)
        places = [len(history) - n for n, c in enumerate(history)
                  if c.name == name and c.became is became]  # fmt: skip
        return max(places, default=0)

    @contextmanager
    def agent_away(self) -> Iterator[None]:
        """Have nobody else look meanwhile."""
        supervisor = self.stead.wired.ports.supervisor
        supervisor.stop("agent")
        try:
            yield
        finally:
            self._settle()
            self.sampler.close()
            telemetry = self.stead.wired.ports.telemetry
            assert telemetry is not None
            assert isinstance(telemetry.store, SampleFile)
            telemetry.store.close()


def shortened(condition: Condition, *, overdue: bool = False) -> Condition:
    """Return a condition that has less of the past to look at."""
    match condition:
        case Every(conditions):
            return Every(tuple(map(_short, conditions)))
        case Some(conditions):
            return Some(tuple(_stale(c) if overdue else _short(c) for c in conditions))
        case _:
            return _short(condition)


def _short(condition: Beyond | Missing) -> Beyond | Missing:
    match condition:
        case Beyond(operand=Increase() as counted):
            return replace(condition, operand=_counted(counted))
        case Beyond(operand=Share(part, rest)):
            return replace(condition, operand=Share(_counted(part), _counted(rest)))
        case Beyond(operand=AgeOf(), falling=True):
            return replace(condition, limit=SINCE)
        case _:
            return condition


def _counted(counted: Increase) -> Increase:
    return replace(counted, span=SPAN)


def _stale(condition: Beyond | Missing) -> Beyond | Missing:
    return replace(condition, limit=STALE) if isinstance(condition, Beyond) else condition


def _with_limit(
    rule: AlertRule, condition: Condition, watched: TelemetryPlan, limits: Limits
) -> Condition:
    told = rule.condition
    if isinstance(told, AtLevel) and told.check in limits:
        warning, critical = limits[told.check]
        threshold = Threshold(warning, critical, 0.0, CHECKS[told.check].threshold.falling)
        found = resolved(rule, {**watched.thresholds, told.check: threshold}, watched.interval)
        assert found is not None
        return found
    if rule.name in limits and isinstance(condition, Beyond):
        return replace(condition, limit=limits[rule.name][0])
    return condition


def criticals(names: Collection[str]) -> set[str]:
    """Return those beside which a warning of their family is not told."""
    warned = {BY_NAME[n].family for n in names if BY_NAME[n].severity is Severity.WARNING}
    families = warned - {""}
    return {
        n for n in names
        if BY_NAME[n].severity is Severity.CRITICAL and BY_NAME[n].family in families
    }  # fmt: skip


def names_of(check: str) -> tuple[str, ...]:
    """Return the rules of a check, the warning first."""
    found = [r for r in RULES if isinstance(r.condition, AtLevel) and r.condition.check == check]
    return tuple(r.name for r in sorted(found, key=lambda r: r.severity is Severity.CRITICAL))


def within(base: float, rise: float) -> tuple[float, float]:
    """Return limits that a value passes when it rises by so much, and not by itself."""
    assert not math.isnan(base)
    return base + 0.3 * rise, base + 0.6 * rise
