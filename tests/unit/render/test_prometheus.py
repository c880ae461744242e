"""Rules for Prometheus: promtool takes them, and they fire where the built-in evaluator does."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pgstead.catalog.alert_rules import BY_NAME, RULES
from pgstead.catalog.health_checks import CHECKS
from pgstead.design.alerts import resolved
from pgstead.model.alerts import (
    LEVELS,
    SAMPLE_AGE,
    ActiveRule,
    AlertPlan,
    AlertState,
    Phase,
    Seen,
)
from pgstead.model.telemetry import Sample
from pgstead.observe import metric_files, pooler_metrics, telemetry
from pgstead.plan import alerts, conditions
from pgstead.render import prometheus_rules, prometheus_tests
from pgstead.render.prometheus_tests import STEP, Courses, courses, steps
from tests.prometheus import promtool

SERIES = re.compile(r'(?P<key>\w+)="(?P<value>[^"]*)"')


def plan() -> AlertPlan:
    """Return every rule with the thresholds of an empty manifest."""
    thresholds = {c.name: c.threshold for c in CHECKS}
    found = [(r, resolved(r, thresholds, 30.0)) for r in RULES]
    active = tuple(ActiveRule(r, c, r.hold) for r, c in found if c is not None)
    return AlertPlan(active, (), (), 3600.0, None, "alerts.db")


ACTIVE = plan().rules


def test_every_rule_has_a_limit_by_default_and_a_name_of_its_own() -> None:
    assert len(ACTIVE) == len(RULES) == len(BY_NAME)


def test_every_rule_asks_for_metrics_that_are_sampled() -> None:
    from pgstead.agent.sampling import OWN
    from pgstead.host.vitals import METRICS

    declared = {m.name for q in metric_files.everything() for m in q.metrics}
    declared |= {m.name for m in (*telemetry.OWN, *pooler_metrics.METRICS, *OWN, *METRICS)}
    declared |= {LEVELS, SAMPLE_AGE}
    for active in ACTIVE:
        assert conditions.metrics(active.condition) <= declared, active.rule.name


@pytest.mark.parametrize("active", ACTIVE, ids=lambda a: a.rule.name)
def test_the_evaluator_fires_on_the_same_series_as_promtool(active: ActiveRule) -> None:
    true, false = (courses(active.condition, holds=h) for h in (True, False))
    assert after(active, true).phase is Phase.FIRING
    assert after(active, false).phase is Phase.INACTIVE


def after(active: ActiveRule, told: Courses) -> AlertState:
    """Evaluate a rule over a course of series, a step each 30 s."""
    begin = datetime.fromtimestamp(0, UTC)
    state: AlertState | None = None
    for step in range(steps(active)):
        now = begin + timedelta(seconds=STEP * step)
        past: dict[str, tuple[Sample, ...]] = {}
        for series, course in told.items():
            name, _, rest = series.partition("{")
            where = tuple((m["key"], m["value"]) for m in SERIES.finditer(rest))
            counts = name in conditions.spans(active.condition)
            moments = range(max(0, step - 62 if counts else step), step + 1)
            past[name] = tuple(
                Sample(name, course.at(n), begin + timedelta(seconds=STEP * n), where)
                for n in moments
            )
        newest = {name: (samples[-1],) for name, samples in past.items()}
        state = alerts.advance(active, Seen(now, newest, past=past), state, STEP)
    assert state is not None
    return state


# One of each kind of condition; the others differ from them in names and numbers.
KINDS = (
    "ServerDown", "SamplesStale", "ChecksUnknown", "CrashRecovered", "Deadlocks", "RollbackRate",
    "PlaintextSession", "CertificateEnds",
)  # fmt: skip


def written(place: Path, told: AlertPlan) -> None:
    """Write rules and their tests."""
    (place / prometheus_tests.RULE_FILE).write_text(prometheus_rules.render(told))
    (place / "tests.yml").write_text(prometheus_tests.render(told))


def test_promtool_takes_the_rules(tmp_path: Path) -> None:
    written(tmp_path, plan())
    told = promtool(tmp_path, "check", "rules", prometheus_tests.RULE_FILE)
    assert f"{len(RULES) + 1} rules found" in told


def test_a_rule_of_each_kind_fires_and_is_over_in_prometheus(tmp_path: Path) -> None:
    written(tmp_path, replace(plan(), rules=tuple(a for a in ACTIVE if a.rule.name in KINDS)))
    promtool(tmp_path, "test", "rules", "tests.yml")


def test_promtool_sees_a_rule_that_does_not_fire(tmp_path: Path) -> None:
    (active,) = (a for a in ACTIVE if a.rule.name == "Deadlocks")
    written(tmp_path, replace(plan(), rules=(active,)))
    rules = tmp_path / prometheus_tests.RULE_FILE
    rules.write_text(rules.read_text().replace("deadlocks_total", "deadlock_total"))
    with pytest.raises(AssertionError, match="FAILED"):
        promtool(tmp_path, "test", "rules", "tests.yml")


@pytest.mark.soak  # each step of a test costs promtool every rule of the file: a few at a time
@pytest.mark.parametrize("first", range(0, len(ACTIVE), 4))
def test_the_rules_fire_and_are_over_in_prometheus(tmp_path: Path, first: int) -> None:
    written(tmp_path, replace(plan(), rules=ACTIVE[first : first + 4]))
    promtool(tmp_path, "test", "rules", "tests.yml")
