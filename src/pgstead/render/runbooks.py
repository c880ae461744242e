"""The rule table as a page for people: each alert with its condition and its runbook."""

from __future__ import annotations

from collections.abc import Mapping

from pgstead.catalog.alert_rules import RULES
from pgstead.catalog.health_checks import CHECKS
from pgstead.design.alerts import resolved
from pgstead.manifest.quantities import written_duration
from pgstead.model.alerts import AlertRule
from pgstead.model.telemetry import Threshold
from pgstead.render.prometheus_rules import promql

_INTERVAL = 30.0  # seconds; the default


def page() -> str:
    """Return the page in Markdown, with the limits that hold by default."""
    thresholds = {check.name: check.threshold for check in CHECKS}
    return (
        "\n# Alerts\n\n"
        "The agent evaluates them each `telemetry.interval`; `pgstead metrics rules` prints them"
        " for Prometheus.\nLimits are the defaults of `[telemetry.thresholds]` at an interval of"
        " 30 s. [Be told](../how-to/be-told.md) shows how to be.\n"
    ) + "".join(_section(rule, thresholds) for rule in RULES)


def _section(rule: AlertRule, thresholds: Mapping[str, Threshold]) -> str:
    condition = resolved(rule, thresholds, _INTERVAL)
    assert condition is not None, f"{rule.name} has no threshold by default"
    book = rule.runbook
    return (
        f"\n## {rule.name}\n\n"
        f"{rule.severity.value}, {', '.join(rule.requirements)}: {rule.summary}.\n\n"
        f"```promql\n{promql(condition)}\n```\n\n"
        f"Fires after {written_duration(rule.hold) if rule.hold else 'no time at all'}."
        f" {book.meaning}\n\n- Look: {book.look}\n- Act: {book.act}\n"
        f"- Fault that fires it: {rule.fault}\n"
    )
