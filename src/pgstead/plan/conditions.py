"""What conditions of alerts come to on stored samples. Pure.

True, False, or None: nobody knows. What is unknown neither fires nor resolves an alert.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby, pairwise

from pgstead.model.alerts import (
    AgeOf,
    Beyond,
    Condition,
    Difference,
    Every,
    Increase,
    Missing,
    Newest,
    Operand,
    Seen,
    Share,
    Some,
    Where,
)
from pgstead.model.telemetry import Fold, Sample


@dataclass(frozen=True, slots=True)
class Outcome:
    """Whether a condition holds, with the value and the place it was judged by."""

    holds: bool | None
    value: float | None
    reason: str = ""


def evaluate(condition: Condition, seen: Seen) -> Outcome:
    """Return what a condition comes to now."""
    match condition:
        case Beyond():
            return _beyond(condition, seen)
        case Missing(metric):
            there = any(s.value is not None for s in seen.newest.get(metric, ()))
            return Outcome(not there, None, "" if there else f"no value of {metric} now")
        case Every(conditions):
            return _every([evaluate(c, seen) for c in conditions])
        case Some(conditions):
            return _some([evaluate(c, seen) for c in conditions])


def spans(condition: Condition) -> dict[str, float]:
    """Return the metrics whose past a condition asks for, each with how far back (seconds)."""
    match condition:
        case Beyond(operand=Increase(metric, span)):
            return {metric: span}
        case Beyond(operand=Share(part, rest)):
            return {part.metric: part.span, rest.metric: rest.span}
        case Every(conditions) | Some(conditions):
            found: dict[str, float] = {}
            for inner in conditions:
                for metric, span in spans(inner).items():
                    found[metric] = max(span, found.get(metric, 0.0))
            return found
        case _:
            return {}


def metrics(condition: Condition) -> frozenset[str]:
    """Return the names of all metrics that a condition asks for."""
    match condition:
        case Beyond(operand=Newest(metric) | AgeOf(metric)) | Missing(metric):
            return frozenset({metric})
        case Beyond(operand=Difference(left, right)):
            return frozenset({left.metric, right.metric})
        case Every(conditions) | Some(conditions):
            return frozenset[str]().union(*map(metrics, conditions))
        case _:
            return frozenset(spans(condition))


def _every(told: Sequence[Outcome]) -> Outcome:
    if any(t.holds is False for t in told):
        return Outcome(holds=False, value=told[0].value)
    return next((t for t in told if t.holds is None), told[0])


def _some(told: Sequence[Outcome]) -> Outcome:
    for wanted in (True, None):
        for one in told:
            if one.holds is wanted:
                return one
    return told[0]


def _beyond(condition: Beyond, seen: Seen) -> Outcome:
    value, reason, whole = _value(condition.operand, seen)
    if value is None:
        # of what there is none, nothing is bad; of what nobody knows, nobody knows it
        gone = seen.fresh and isinstance(condition.operand, Newest) and not reason
        return Outcome(False if gone else None, None, reason)
    limit = condition.limit
    reached = value <= limit if condition.falling else value >= limit
    if reached:
        why = reason if whole else _place(condition.operand, value, seen)
        return Outcome(holds=True, value=value, reason=why)
    # what is known to be good does not count where the rest is unknown
    if whole:
        return Outcome(holds=False, value=value)
    return Outcome(None, value, reason)


def _value(operand: Operand, seen: Seen) -> tuple[float | None, str, bool]:
    """Return the value, why there is none or where it is, and whether all of it is known."""
    match operand:
        case Newest():
            return _newest(operand, seen)
        case Increase():
            return _increase(operand, seen)
        case AgeOf(metric):
            value, reason, whole = _newest(Newest(metric), seen)
            return (None if value is None else seen.now.timestamp() - value), reason, whole
        case Difference(left, right):
            told = [_newest(one, seen) for one in (left, right)]
            (one, why, _), (other, reason, _) = told
            if one is None or other is None:
                return None, why or reason, False
            return one - other, "", True
        case Share(part, rest):
            first, second = _increase(part, seen), _increase(rest, seen)
            if first[0] is None or second[0] is None:
                return None, first[1] or second[1], False
            total = first[0] + second[0]
            # of nothing there is no share, and nothing is bad of it
            return (first[0] / total if total else 0.0), "", True


def _newest(operand: Newest, seen: Seen) -> tuple[float | None, str, bool]:
    found = _chosen(seen.newest.get(operand.metric, ()), operand.where)
    known = [s.value for s in found if s.value is not None]
    unknown = next((s for s in found if s.value is None), None)
    if not known:
        return None, unknown.reason if unknown is not None else "", False
    fold = {Fold.HIGHEST: max, Fold.LOWEST: min, Fold.SUM: sum}[operand.fold]
    value = float(fold(known))
    if unknown is not None:
        return value, unknown.reason, False
    return value, _place(operand, value, seen), True


def _place(operand: Operand, value: float, seen: Seen) -> str:
    if not isinstance(operand, Newest) or operand.fold is Fold.SUM:
        return ""
    found = _chosen(seen.newest.get(operand.metric, ()), operand.where)
    worst = next((s for s in found if s.value == value), None)
    if worst is None or worst.reason:
        return worst.reason if worst is not None else ""
    return ", ".join(f"{name} {text}" for name, text in worst.attributes if text)


def _increase(operand: Increase, seen: Seen) -> tuple[float | None, str, bool]:
    """Sum the growth of each series, from the samples that lie within the span.

    Samples of the future are left out: there are some when the clock was set back.
    """
    begin = seen.now - timedelta(seconds=operand.span)
    within = [
        s
        for s in _chosen(seen.past.get(operand.metric, ()), operand.where)
        if s.value is not None and begin < s.at <= seen.now
    ]
    within.sort(key=lambda s: (s.attributes, s.at))
    grown: list[float] = []
    for _, group in groupby(within, key=lambda s: s.attributes):
        values = [s.value for s in group if s.value is not None]
        if len(values) > 1:
            grown.append(growth(values))
    if not grown:
        return None, f"{operand.metric} was not sampled twice in {operand.span:.0f} s", False
    return sum(grown), "", True


def growth(values: Iterable[float]) -> float:
    """Return by how much a counter grew; one that fell was reset, and began at 0 again."""
    return sum(last - first if last >= first else last for first, last in pairwise(values))


def _chosen(samples: Sequence[Sample], where: Where) -> list[Sample]:
    """Return the series that are meant; what is unknown as a whole is meant too."""
    return [
        s
        for s in samples
        if all(dict(s.attributes).get(n, v if s.value is None else None) == v for n, v in where)
    ]
