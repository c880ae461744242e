"""The rule table as a rule file for Prometheus: the same conditions as PromQL.

https://prometheus.io/docs/prometheus/latest/configuration/alerting_rules/
"""

from __future__ import annotations

import json

from pgstead.model.alerts import (
    ActiveRule,
    AgeOf,
    AlertPlan,
    AlertRule,
    Beyond,
    Condition,
    Difference,
    Every,
    Increase,
    Missing,
    Newest,
    Operand,
    Share,
    Some,
    Where,
)
from pgstead.model.telemetry import Fold

WATCHDOG = "Watchdog"
_FOLDS = {Fold.HIGHEST: "max", Fold.LOWEST: "min", Fold.SUM: "sum"}


def render(plan: AlertPlan) -> str:
    """Return the file; a watchdog that always fires is in it, for who listens for silence."""
    rules = "".join(map(_rule, plan.rules))
    return (
        "# Made by `pgstead metrics rules`. The runbooks: docs/reference/alerts.md\n"
        "groups:\n  - name: pgstead\n    rules:\n"
        f"{rules}{_watchdog()}"
    )


def promql(condition: Condition) -> str:
    """Return a condition as PromQL."""
    match condition:
        case Beyond(operand, limit, falling):
            return f"{_operand(operand)} {'<=' if falling else '>='} {_number(limit)}"
        case Missing(metric):
            return f"absent({metric})"
        case Every(conditions):
            return " and on() ".join(f"({promql(c)})" for c in conditions)
        case Some(conditions):
            return " or on() ".join(f"({promql(c)})" for c in conditions)


def selector(metric: str, where: Where) -> str:
    """Return a selector of series."""
    told = ",".join(f"{name}={json.dumps(value)}" for name, value in where)
    return f"{metric}{{{told}}}" if told else metric


def span(seconds: float) -> str:
    """Return a duration as Prometheus reads it."""
    milliseconds = round(seconds * 1000)
    return f"{milliseconds}ms" if milliseconds % 1000 else f"{milliseconds // 1000}s"


def _operand(operand: Operand) -> str:
    match operand:
        case Newest(metric, where, fold):
            return f"{_FOLDS[fold]}({selector(metric, where)})"
        case Increase(metric, over, where):
            return f"sum(increase({selector(metric, where)}[{span(over)}]))"
        case AgeOf(metric):
            return f"(time() - max({metric}))"
        case Difference(left, right):
            return f"({_operand(left)} - {_operand(right)})"
        case Share(part, rest):
            first, second = _operand(part), _operand(rest)
            return f"{first} / ({first} + {second})"


def _number(value: float) -> str:
    return f"{value:.12g}"


def labels(rule: AlertRule) -> dict[str, str]:
    """Return the labels of an alert."""
    return {
        "severity": rule.severity.value,
        "requirement": " ".join(rule.requirements),
        **({"family": rule.family} if rule.family else {}),
    }


def notes(rule: AlertRule) -> dict[str, str]:
    """Return what is said of an alert."""
    book = rule.runbook
    return {
        "summary": rule.summary,
        "description": f"{book.meaning} {book.act}",
        "runbook": f"docs/reference/alerts.md#{rule.name.lower()}",
    }


def _rule(active: ActiveRule) -> str:
    rule = active.rule
    return (
        f"      - alert: {rule.name}\n"
        f"        expr: {json.dumps(promql(active.condition))}\n"
        f"        for: {span(active.hold)}\n"
        f"        labels:\n{_mapping(labels(rule))}"
        f"        annotations:\n{_mapping(notes(rule))}"
    )


def _watchdog() -> str:
    return (
        f"      - alert: {WATCHDOG}\n        expr: vector(1)\n        labels:\n"
        '          severity: "none"\n        annotations:\n'
        '          summary: "always fires: whoever does not hear it knows that nobody alerts"\n'
    )


def _mapping(told: dict[str, str]) -> str:
    # a JSON string is a YAML string; braces are doubled nowhere, for no text has a template in it
    return "".join(f"          {name}: {json.dumps(text)}\n" for name, text in told.items())
