"""Alerts for commands: what fires, silences, and a word to every target."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase

from pgstead.errors import UsageError
from pgstead.model.alerts import (
    AlertPlan,
    AlertState,
    Phase,
    Silence,
    TargetState,
    Transition,
)
from pgstead.ports.alerts import AlertPorts, Sent

_PATIENCE = 40.0  # seconds for all targets; each has a deadline of its own


@dataclass(frozen=True, slots=True)
class AlertStatus:
    """What fires, and who cannot be told."""

    firing: tuple[AlertState, ...]
    pending: tuple[AlertState, ...]
    silences: tuple[Silence, ...]
    targets: tuple[TargetState, ...]
    history: tuple[Transition, ...]
    severities: tuple[tuple[str, str], ...]
    rules: int
    evaluated: int
    at: datetime | None  # of the last evaluation
    off: tuple[str, ...]

    def severity(self, name: str) -> str:
        """Return the severity of a rule."""
        return dict(self.severities).get(name, "")


def look(plan: AlertPlan, ports: AlertPorts, history: int = 50) -> AlertStatus:
    """Return what the agent has found out last. Raises StateDirectoryError."""
    now = datetime.now(UTC)
    names = {active.rule.name for active in plan.rules}
    states = sorted((s for s in ports.store.states() if s.name in names), key=lambda s: s.since)
    return AlertStatus(
        firing=tuple(s for s in states if s.phase is Phase.FIRING),
        pending=tuple(s for s in states if s.phase is Phase.PENDING),
        silences=tuple(s for s in ports.store.silences() if s.until > now),
        targets=tuple(ports.store.targets()),
        history=tuple(ports.store.history(history)),
        severities=tuple((a.rule.name, a.rule.severity.value) for a in plan.rules),
        rules=len(plan.rules),
        evaluated=len(states),
        at=max((s.at for s in states), default=None),
        off=plan.off,
    )


def silence(
    plan: AlertPlan, ports: AlertPorts, name: str, until: datetime, reason: str, by: str
) -> Silence:
    """Have alerts not told until a moment. Raises UsageError where no rule has that name."""
    names = [active.rule.name for active in plan.rules]
    if not any(fnmatchcase(known, name) for known in names):
        raise UsageError(
            f'no rule is called "{name}"', hint=f"there is: {', '.join(sorted(names))}"
        )
    if not reason.strip():
        raise UsageError("a silence needs a reason", hint='--reason "the disk is being replaced"')
    return ports.store.silence(name, until, reason, by)


def try_targets(stead: str, plan: AlertPlan, ports: AlertPorts) -> tuple[Sent, ...]:
    """Send a word to each target and wait for all."""
    found: list[Sent] = []
    waiting = 0
    for name, problem in ports.couriers.targets():
        if problem:
            found.append(Sent(name, problem))
        elif ports.couriers.carry(name, f"[{stead}] test", "pgstead alerts test: this is one"):
            waiting += 1
    if plan.heartbeat is not None and ports.couriers.beat():
        waiting += 1
    end = time.monotonic() + _PATIENCE
    while waiting and time.monotonic() < end:
        ended = ports.couriers.ended()
        found += ended
        waiting -= len(ended)
        time.sleep(0.05)
    return tuple(found)
