"""Status at a glance: what the service itself sees, availability, and every check."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pgstead.app.dashboard import figures
from pgstead.app.dashboard.markup import Html, join, table, tag
from pgstead.app.dashboard.page import Place, card, page, state, unknown
from pgstead.app.telemetry.alerts import Alert, Alerts
from pgstead.app.telemetry.checks import status_of
from pgstead.app.telemetry.samples import Judged
from pgstead.model.telemetry import Level

_ORDER = (Level.CRITICAL, Level.WARNING, Level.UNKNOWN, Level.OK, Level.NONE)
_ALERTS = ("alert", "state", "severity", "value", "since", "what")
_HEADS = ("check", "state", "value", "warning", "critical", "since")


def status_page(
    place: Place,
    error: str,
    checks: Sequence[Judged],
    why: str,
    available: dict[str, Any],
    alerts: Alerts,
) -> Html:
    """Return the page; `error` is what the service's own probe met, `why` why no check is known."""
    word = status_of(error, checks) if checks else "unhealthy" if error else figures.UNKNOWN
    attention = sum(c.level in _ORDER[:3] for c in checks)
    cards = tag(
        "div",
        card("Database", state(word), f"{attention} of {len(checks)} checks want attention"),
        card("This service", "not connected" if error else "connected", error or None),
        _firing(alerts),
        _availability(available),
        class_="cards",
    )
    return page(
        place,
        "",
        cards,
        _alerts(alerts.found),
        tag("h3", "Checks"),
        _checks(checks, why),
    )


def _firing(alerts: Alerts) -> Html:
    if alerts.found is None:
        return card("Alerts", state(figures.UNKNOWN), alerts.reason)
    pending = len(alerts.found) - len(alerts.firing)
    return card(
        "Alerts",
        f"{len(alerts.firing)} firing" if alerts.firing else "none fires",
        f"{pending} pending" if pending else None,
    )


def _alerts(found: Sequence[Alert] | None) -> Html | None:
    if not found:
        return None
    ranked = sorted(found, key=lambda a: (not a.firing, a.since))
    listed = table("Alerts that fire or soon will", _ALERTS, map(_alert, ranked))
    return join([tag("h3", "Alerts"), listed])


def _alert(alert: Alert) -> Sequence[Html | str]:
    return (
        join([alert.name, tag("div", "silenced", class_="small") if alert.silenced else None]),
        state(alert.phase),
        alert.severity,
        figures.number(alert.value) if alert.value is not None else "-",
        tag("span", figures.moment(alert.since), class_="n"),
        join([alert.summary, tag("div", alert.reason, class_="small") if alert.reason else None]),
    )


def _availability(told: dict[str, Any]) -> Html:
    title = f"Availability over {told.get('days', 30)} days"
    if told["coverage"] is None:
        return card(title, state("unproven"), told["reason"])
    found = told["ratio"]
    shown = state("unproven") if found is None else f"{found:.3%}"
    so_far = None if told["measured"] is None else f"{told['measured']:.3%} of what was sampled"
    return card(
        title,
        shown,
        told["reason"],
        so_far if found is None else None,
        f"sampled: {told['coverage']:.1%} ({figures.number(told['samples'])} samples),"
        f" down: {figures.figure(told['down_seconds'], 's')},"
        f" maintenance left out: {figures.span(told['maintenance_seconds'])}",
    )


def _checks(checks: Sequence[Judged], why: str) -> Html:
    if not checks:
        return unknown(why or "the agent has not judged anything yet")
    ranked = sorted(checks, key=lambda c: (_ORDER.index(c.level), c.name))
    return table("What the agent watches", _HEADS, map(_row, ranked))


def _row(check: Judged) -> Sequence[Html | str]:
    none = check.level is Level.NONE
    return (
        join([check.name, tag("div", check.description, class_="small")]),
        state(check.level.value),
        join(
            [
                tag("span", "-" if none else figures.figure(check.value, _unit(check)), class_="n"),
                # beside the value: on a phone the last columns are out of sight
                tag("div", check.reason, class_="small") if check.reason else None,
            ]
        ),
        _limit(check, check.warning),
        _limit(check, check.critical),
        tag("span", figures.moment(check.since), class_="n"),
    )


def _unit(check: Judged) -> str:
    """Return the unit; of what is no share but a yes or a count, none."""
    limits = [limit for limit in (check.warning, check.critical) if limit is not None]
    share = any(0 < limit < 1 for limit in limits)
    return "" if check.unit == "1" and not share else check.unit


def _limit(check: Judged, limit: float | None) -> Html | str:
    if limit is None:
        return "-"
    worse = "\u2264" if check.falling else "\u2265"
    return tag("span", f"{worse} {figures.figure(limit, _unit(check))}", class_="n")
