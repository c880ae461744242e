"""Unit tests for the rule file, for `promtool test rules`: fires, is over, and without any series.

https://prometheus.io/docs/prometheus/latest/configuration/unit_testing_rules/
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from pgstead.model.alerts import (
    ActiveRule,
    AgeOf,
    AlertPlan,
    Beyond,
    Condition,
    Difference,
    Every,
    Increase,
    Missing,
    Newest,
    Share,
    Some,
)
from pgstead.render.prometheus_rules import labels, notes, selector, span

RULE_FILE = "pgstead.rules.yml"
STEP = 30.0  # seconds between two samples
_FAR = 1e6


@dataclass(frozen=True, slots=True)
class Course:
    """How a series goes: it begins at a value, and grows by as much each step."""

    start: float
    growth: float = 0.0

    def at(self, step: int) -> float:
        """Return its value."""
        return self.start + step * self.growth


Courses = Mapping[str, Course]


def courses(condition: Condition, *, holds: bool) -> dict[str, Course]:
    """Return series under which a condition holds, or does not."""
    match condition:
        case Beyond():
            return _beyond(condition, holds=holds)
        case Missing(metric):
            return {} if holds else {metric: Course(1.0)}
        case Every(conditions):
            # one that does not hold is enough
            wanted = [holds, *(True for _ in conditions[1:])]
        case Some(conditions):
            wanted = [holds, *(False for _ in conditions[1:])]
    found: dict[str, Course] = {}
    for inner, want in zip(conditions, wanted, strict=True):
        for series, course in courses(inner, holds=want).items():
            before = found.get(series, course)
            found[series] = course if holds and course.growth > before.growth else before
    return found


def _beyond(condition: Beyond, *, holds: bool) -> dict[str, Course]:
    limit, sign = condition.limit, -1.0 if condition.falling else 1.0
    match condition.operand:
        case Newest(metric, where):
            off = max(abs(limit) * 0.1, 1.0 if holds else 0.01) * sign
            return {selector(metric, where): Course(limit + off if holds else limit - off)}
        case Increase(metric, over, where):
            growth = 2 * limit * STEP / over if holds else 0.0
            return {selector(metric, where): Course(0.0, growth)}
        case Share(part, rest):
            grown, still = Course(0.0, 1.0), Course(0.0)
            ours, others = (grown, still) if holds else (still, grown)
            return {
                selector(part.metric, part.where): ours,
                selector(rest.metric, rest.where): others,
            }
        case AgeOf(metric):
            return {metric: Course(_FAR if holds is condition.falling else -_FAR)}
        case Difference(left, right):
            one = Course(_FAR if holds else 0.0)
            return {
                selector(left.metric, left.where): one,
                selector(right.metric, right.where): Course(0.0),
            }


def steps(active: ActiveRule) -> int:
    """Return for how many steps a course lasts, so that a rule surely fires or is over."""
    return int((active.hold + 2000.0) / STEP) + 2


def render(plan: AlertPlan) -> str:
    """Return the file of tests; it lies beside the rule file."""
    told = "".join(map(_fires, plan.rules)) + _silent(plan)
    return (
        "# Made by `pgstead metrics rules --tests`; for `promtool test rules`\n"
        f"rule_files: [{RULE_FILE}]\nevaluation_interval: {span(STEP)}\ntests:\n{told}"
    )


def _fires(active: ActiveRule) -> str:
    count = steps(active)
    true, false = (courses(active.condition, holds=holds) for holds in (True, False))
    ends = {**_ended(true, count), **{s: c for s, c in false.items() if not c.growth}}
    series = {s: f"{_course(true[s], count)} {_course(ends[s], count)}" for s in true}
    fired = _at(active, count * STEP, fires=True)
    over = _at(active, 2 * count * STEP, fires=False)
    return _test(f"{active.rule.name} fires, and is over", series) + fired + over


def _silent(plan: AlertPlan) -> str:
    """Return two tests for all rules at once: each costs promtool a database."""
    quiet: dict[str, Course] = {}
    for active in plan.rules:  # a warning comes before the critical rule, which it is silent for
        for series, course in courses(active.condition, holds=False).items():
            quiet.setdefault(series, course)
    late = max(map(steps, plan.rules), default=1)
    well = {series: _course(course, late) for series, course in quiet.items()}
    silent = "".join(_at(active, late * STEP, fires=False) for active in plan.rules)
    absent = "".join(
        _at(active, late * STEP, fires=_holds_on_nothing(active.condition)) for active in plan.rules
    )
    return f"{_test('all is well', well)}{silent}{_test('no series at all', {})}{absent}"


def _ended(true: Courses, count: int) -> dict[str, Course]:
    """Return counters that stand still from the end of a course on."""
    return {series: Course(course.at(count)) for series, course in true.items()}


def _holds_on_nothing(condition: Condition) -> bool:
    match condition:
        case Missing():
            return True
        case Some(conditions):
            return any(map(_holds_on_nothing, conditions))
        case Every(conditions):
            return all(map(_holds_on_nothing, conditions))
        case Beyond():
            return False


def _course(course: Course, count: int) -> str:
    return f"{course.start:.12g}+{course.growth:.12g}x{count}"


def _test(name: str, series: Mapping[str, str]) -> str:
    told = "".join(
        f"      - series: {json.dumps(one)}\n        values: {json.dumps(values)}\n"
        for one, values in series.items()
    )
    given = f"    input_series:\n{told}" if told else "    input_series: []\n"
    head = f"  - name: {json.dumps(name)}\n    interval: {span(STEP)}\n"
    return f"{head}{given}    alert_rule_test:\n"


def _at(active: ActiveRule, moment: float, *, fires: bool) -> str:
    head = f"      - eval_time: {span(moment)}\n        alertname: {active.rule.name}\n"
    if not fires:
        return f"{head}        exp_alerts: []\n"
    told = {"exp_labels": labels(active.rule), "exp_annotations": notes(active.rule)}
    return f"{head}        exp_alerts: [{json.dumps(told)}]\n"
