"""Alerts: pending, firing, resolved; and what each target is to be told. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase

from pgstead.model.alerts import (
    ActiveRule,
    AlertRule,
    AlertState,
    Phase,
    Seen,
    Severity,
    Silence,
    Told,
    Transition,
)
from pgstead.plan.conditions import Outcome, evaluate


def advance(
    active: ActiveRule, seen: Seen, before: AlertState | None, elapsed: float
) -> AlertState:
    """Return an alert's state after an evaluation, `elapsed` seconds after the one before.

    Seconds are those of a monotonic clock: one on the wall that jumps makes nothing fire.
    """
    told = evaluate(active.condition, seen)
    phase = before.phase if before is not None else Phase.INACTIVE
    held = before.held if before is not None else 0.0
    if told.holds is None:
        # no data is an alert of its own; it ends none, and brings none nearer
        became = phase
    elif not told.holds:
        became, held = Phase.INACTIVE, 0.0
    else:
        held = 0.0 if phase is Phase.INACTIVE else held + max(elapsed, 0.0)
        ripe = phase is Phase.FIRING or held >= active.hold
        became = Phase.FIRING if ripe else Phase.PENDING
    return _state(active.rule, became, before, held, told, seen.now)


def _state(
    rule: AlertRule,
    phase: Phase,
    before: AlertState | None,
    held: float,
    told: Outcome,
    now: datetime,
) -> AlertState:
    same = before is not None and before.phase is phase
    since = before.since if before is not None and same else now
    return AlertState(rule.name, phase, since, held, now, told.value, told.reason)


def transition(before: AlertState | None, after: AlertState) -> Transition | None:
    """Return the line of the history that a change of phase is, or None."""
    was = before.phase if before is not None else Phase.INACTIVE
    if was is after.phase:
        return None
    return Transition(after.name, was, after.phase, after.at, after.value, after.reason)


def silenced(name: str, silences: Sequence[Silence], now: datetime) -> Silence | None:
    """Return the silence that an alert is under now, the longest of several."""
    found = [s for s in silences if s.until > now and fnmatchcase(name, s.name)]
    return max(found, key=lambda s: s.until, default=None)


@dataclass(frozen=True, slots=True)
class Notice:
    """What a target is to be told in one message: what fires, what is over."""

    firing: tuple[AlertState, ...]
    resolved: tuple[AlertState, ...]
    again: tuple[str, ...] = ()  # of those that fire, the ones that were told before

    def __bool__(self) -> bool:
        """Whether there is anything to tell."""
        return bool(self.firing or self.resolved)


def notice(
    rules: Mapping[str, AlertRule],
    states: Sequence[AlertState],
    silences: Sequence[Silence],
    told: Sequence[Told],
    now: datetime,
    repeat: float,
) -> Notice:
    """Return what a target has not been told yet, or not for `repeat` seconds.

    What follows from states alone is told after a restart too, and after a failure again.
    An alert that was told to fire is told to be over, silenced meanwhile or not.
    """
    known = {t.name: t for t in told if t.phase is Phase.FIRING}
    muted = set(_muted(rules, states))
    firing: list[AlertState] = []
    for state in states:
        last = known.get(state.name)
        quiet = state.name in muted or silenced(state.name, silences, now) is not None
        if state.phase is not Phase.FIRING or quiet:
            continue
        # a clock that was set back must not put the next reminder off
        age = abs((now - last.at).total_seconds()) if last is not None else repeat
        if age >= repeat:
            firing.append(state)
    over = [s for s in states if s.name in known and s.phase is not Phase.FIRING]
    again = tuple(s.name for s in firing if s.name in known)
    return Notice(tuple(firing), tuple(over), again)


def _muted(rules: Mapping[str, AlertRule], states: Sequence[AlertState]) -> Iterator[str]:
    """Yield the warnings whose family has a critical alert that fires."""
    firing = [rules[s.name] for s in states if s.phase is Phase.FIRING and s.name in rules]
    worse = {r.family for r in firing if r.severity is Severity.CRITICAL and r.family}
    yield from (r.name for r in firing if r.severity is Severity.WARNING and r.family in worse)


def message(stead: str, told: Notice, rules: Mapping[str, AlertRule]) -> tuple[str, str]:
    """Return title and body of what a target is told."""
    heads = [f"{len(told.firing)} firing"] if told.firing else []
    heads += [f"{len(told.resolved)} resolved"] if told.resolved else []
    lines = [_line(state, rules, told) for state in (*told.firing, *told.resolved)]
    return f"[{stead}] {', '.join(heads)}", "\n".join(lines)


def _line(state: AlertState, rules: Mapping[str, AlertRule], told: Notice) -> str:
    rule = rules.get(state.name)
    if state.phase is Phase.FIRING:
        word = rule.severity.value.upper() if rule is not None else "FIRING"
        still = " (still)" if state.name in told.again else ""
        value = "" if state.value is None else f" [{state.value:g}]"
        where = f" - {state.reason}" if state.reason else ""
        summary = rule.summary if rule is not None else ""
        since = state.since.isoformat(timespec="seconds")
        return f"{word}{still} {state.name}: {summary}{value}{where}, since {since}"
    return f"RESOLVED {state.name}, at {state.since.isoformat(timespec='seconds')}"
