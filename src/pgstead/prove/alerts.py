"""Alerts: every rule is evaluated, a fault fires and is over, and who is to be told hears it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from pgstead.errors import SteadError
from pgstead.model.address import Capability
from pgstead.model.alerts import ActiveRule, AlertPlan, AlertState, Beyond, Phase
from pgstead.model.telemetry import STALE_AFTER
from pgstead.ports.alerts import AlertStore
from pgstead.prove.finding import Answer, CannotTryError, Finding, answer, timed
from pgstead.prove.promise import promise
from pgstead.prove.witness import Witness

TELEMETRY = Capability.TELEMETRY
IDLE = "IdleInTransaction"
_NEEDS = ("telemetry", "alerts")
_LONGEST = 240.0  # seconds that a fault is kept up


def plan_of(w: Witness) -> AlertPlan:
    """Return how the stead alerts; the need `alerts` has looked for it."""
    assert w.design.alerts is not None
    return w.design.alerts


def interval_of(w: Witness) -> float:
    """Return the seconds between two evaluations."""
    assert w.design.telemetry is not None
    return w.design.telemetry.interval


def store_of(w: Witness) -> AlertStore:
    """Return what is remembered of alerts."""
    found = w.access.ports.alerts
    if found is None:
        raise CannotTryError("what was evaluated is not at hand here")
    return found.store


def states(w: Witness) -> Answer[dict[str, AlertState]]:
    """Return each alert as it was evaluated last."""
    with timed() as watch:
        try:
            found = {s.name: s for s in store_of(w).states()}
        except SteadError as error:
            raise CannotTryError(f"the alerts cannot be read: {error.message}") from error
    return answer(plan_of(w).file, f"{len(found)} rules", found, watch)


@promise(
    "TEL-010",
    "every rule of the table was evaluated within the last intervals",
    requirement="TEL-3",
    capability=TELEMETRY,
    needs=_NEEDS,
)
def every_rule_is_evaluated(w: Witness) -> Iterator[Finding]:
    told = states(w)
    limit = STALE_AFTER * interval_of(w) + 10
    now = datetime.now(UTC)
    wanted = [active.rule.name for active in plan_of(w).rules]
    late = [
        name
        for name in wanted
        if name not in told.value or (now - told.value[name].at).total_seconds() > limit
    ]
    yield told.shows(
        holds=not late,
        expected=f"all {len(wanted)} rules, evaluated within {limit:.0f} s",
        said=f"not: {', '.join(late[:5])}" if late else f"{len(wanted)} rules",
        hint="`pgstead logs agent` shows why it does not evaluate them",
    )


@promise(
    "TEL-011",
    "a transaction that is idle for too long fires its alert, and the alert ends with it",
    requirement="TEL-3 TEL-6",
    capability=TELEMETRY,
    needs=(*_NEEDS, "direct", "database"),
    disruptive=True,
    limit=2 * _LONGEST,
)
def a_fault_fires_and_is_over(w: Witness) -> Iterator[Finding]:
    active = next((a for a in plan_of(w).rules if a.rule.name == IDLE), None)
    if active is None:
        raise CannotTryError(f"the rule {IDLE} is switched off")
    patience = _patience(active) + 4 * interval_of(w) + 10
    if patience > _LONGEST:
        raise CannotTryError(f"it takes {patience:.0f} s with these thresholds")
    if _phase(w) is Phase.FIRING:
        raise CannotTryError("it fires already: somebody's transaction is idle")
    (plan, *_) = w.databases
    with w.session(plan.admin, plan.name) as session:
        session.ask("BEGIN")
        session.ask("SET LOCAL idle_in_transaction_session_timeout = 0")
        fired = w.wait_until(lambda: states(w) if _phase(w) is Phase.FIRING else None, patience)
        last = fired or states(w)
        yield last.shows(
            holds=fired is not None, expected=f"{IDLE} fires while a transaction is idle"
        )
    over = w.wait_until(
        lambda: states(w) if _phase(w) is Phase.INACTIVE else None, 4 * interval_of(w) + 10
    )
    last = over or states(w)
    yield last.shows(holds=over is not None, expected=f"{IDLE} is over with the transaction")


def _patience(active: ActiveRule) -> float:
    """Return after how many seconds of a fault the rule fires."""
    limit = active.condition.limit if isinstance(active.condition, Beyond) else 0.0
    return limit + active.hold


def _phase(w: Witness) -> Phase:
    found = states(w).value.get(IDLE)
    return found.phase if found is not None else Phase.INACTIVE


@promise(
    "TEL-012",
    "every target took what it was told last",
    requirement="TEL-3 TEL-6",
    capability=TELEMETRY,
    needs=_NEEDS,
)
def every_target_hears(w: Witness) -> Iterator[Finding]:
    with timed() as watch:
        try:
            found = store_of(w).targets()
        except SteadError as error:
            raise CannotTryError(f"the alerts cannot be read: {error.message}") from error
    failing = [f"{t.name}: {t.error}" for t in found if t.error]
    told = answer(plan_of(w).file, f"{len(found)} targets", found, watch)
    yield told.shows(
        holds=not failing,
        expected="no target that fails",
        said="; ".join(failing) or f"{len(found)} targets",
        hint="`pgstead alerts test` sends each a word",
    )


PROMISES = (every_rule_is_evaluated, a_fault_fires_and_is_over, every_target_hears)
