"""How a stead alerts: its rules with the limits of its thresholds, and where targets stand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pgstead.catalog.alert_rules import RULES
from pgstead.catalog.health_checks import BY_NAME
from pgstead.manifest.alert_checks import OFF
from pgstead.manifest.document import Manifest
from pgstead.model.alerts import (
    SAMPLE_AGE,
    ActiveRule,
    AlertPlan,
    AlertRule,
    AtLevel,
    Beyond,
    Condition,
    Heartbeat,
    Missing,
    Newest,
    Overdue,
    Part,
    Some,
    TargetFile,
)
from pgstead.model.layout import Layout
from pgstead.model.telemetry import STALE_AFTER, Level, TelemetryPlan, Threshold

_SPARE = 15.0  # seconds that a look may take beyond its interval


def plan(
    manifest: Manifest, layout: Layout, watched: TelemetryPlan | None, *, backed_up: bool
) -> AlertPlan | None:
    """Return how the stead alerts, None where it is not watched or does not want to."""
    told = manifest.alerts
    if watched is None or not told.enabled:
        return None
    parts = {Part.POOLER: manifest.pooler.enabled, Part.BACKUP: backed_up}
    there = [r for r in RULES if r.needs is None or parts[r.needs]]
    off = tuple(r.name for r in there if manifest.waives(OFF + r.name))
    after = {name: entry.after for name, entry in told.rules.items()}
    return AlertPlan(
        rules=tuple(_active(there, watched, off, after)),
        off=off,
        targets=tuple(_targets(manifest, layout)),
        repeat=told.repeat,
        heartbeat=_heartbeat(manifest, layout),
        file=str(layout.alerts),
    )


def _active(
    rules: list[AlertRule],
    watched: TelemetryPlan,
    off: tuple[str, ...],
    after: Mapping[str, float | None],
) -> Iterator[ActiveRule]:
    for rule in rules:
        condition = resolved(rule, watched.thresholds, watched.interval)
        if condition is None or rule.name in off:
            continue
        chosen = after.get(rule.name)
        yield ActiveRule(rule, condition, rule.hold if chosen is None else chosen)


def resolved(
    rule: AlertRule, thresholds: Mapping[str, Threshold], interval: float
) -> Condition | None:
    """Return a rule's condition with its limit; None where the check has no such threshold."""
    told = rule.condition
    if isinstance(told, Overdue):
        limit = STALE_AFTER * interval + _SPARE
        return Some((Beyond(Newest(SAMPLE_AGE), limit), Missing(SAMPLE_AGE)))
    if not isinstance(told, AtLevel):
        return told
    check, threshold = BY_NAME[told.check], thresholds[told.check]
    limit = threshold.warning if told.level is Level.WARNING else threshold.critical
    if limit is None:
        return None
    return Beyond(Newest(check.metric, check.where, check.fold), limit, threshold.falling)


def _targets(manifest: Manifest, layout: Layout) -> Iterator[TargetFile]:
    told = manifest.alerts
    if told.targets_file:
        yield TargetFile(str(layout.manifest_directory / told.targets_file))
    for target in told.targets:
        yield TargetFile(str(layout.manifest_directory / target.url_file), target.name)


def _heartbeat(manifest: Manifest, layout: Layout) -> Heartbeat | None:
    told = manifest.alerts
    if not told.heartbeat_file:
        return None
    return Heartbeat(str(layout.manifest_directory / told.heartbeat_file), told.heartbeat)
