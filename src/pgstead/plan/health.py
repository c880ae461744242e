"""What samples mean: each check's level, with hysteresis, and since when. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta

from pgstead.model.telemetry import (
    Cadence,
    Check,
    Fold,
    Level,
    Sample,
    Threshold,
    Verdict,
)

_WORSE = {Level.OK: 0, Level.WARNING: 1, Level.CRITICAL: 2}


_NEVER = "it was not sampled"
_SKEW = timedelta(seconds=1)  # a clock that is slewed may run back by less


def looked_at(samples: Sequence[Sample], now: datetime) -> datetime | None:
    """Return when something was sampled last; what lies in the future was before the clock was set.

    None where nothing was sampled since.
    """
    return max((s.at for s in samples if s.at <= now + _SKEW), default=None)


def current(
    samples: Sequence[Sample],
    slow: AbstractSet[str],
    looks: Mapping[Cadence, tuple[datetime, datetime]],
) -> tuple[Sample, ...]:
    """Return the newest samples that tell of now, of those that are kept of each series.

    A series that the last look did not give any more is gone; `slow` are the metrics that are not
    in every look. What nobody knew once has a series of its own, which is gone when it is known
    again. So is what lies in the future. `looks` are the first and the last moment of the last look
    of each cadence; where there was none yet, all is as new as can be.
    """
    return tuple(
        s
        for s in samples
        if (span := looks.get(Cadence.SLOW if s.metric in slow else Cadence.FAST)) is None
        or span[0] <= s.at <= span[1]
    )


def judge(
    check: Check,
    threshold: Threshold,
    samples: Sequence[Sample],
    before: Verdict | None,
    now: datetime,
) -> Verdict:
    """Return what the newest samples of a check's metric come to.

    What is known to be bad counts although something else is unknown; what is known to be good
    does not: nobody knows the rest.
    """
    relevant = [s for s in samples if all(a in s.attributes for a in check.where)]
    known = [s for s in relevant if s.value is not None]
    unknown = [s for s in relevant if s.value is None]
    at = max((s.at for s in relevant), default=now)
    if not relevant:
        # of another metric's rows, none has what the check asks for: there is none of it
        level, reason = (Level.NONE, check.without) if check.without else (Level.UNKNOWN, _NEVER)
        return _verdict(check, level, None, reason, before, at)
    value = _folded(check.fold, [s.value for s in known if s.value is not None])
    if value is None:
        return _verdict(check, Level.UNKNOWN, None, unknown[0].reason, before, at)
    was = before.level if before is not None else Level.OK
    level = level_of(value, threshold, was)
    if level is Level.OK and unknown:
        # what the known part comes to is told nowhere: a sum of it would say 0 of what is unknown
        return _verdict(check, Level.UNKNOWN, None, unknown[0].reason, before, at)
    place = _place(check, known, value) if level is not Level.OK else ""
    return _verdict(check, level, value, place, before, at)


def level_of(value: float, threshold: Threshold, before: Level) -> Level:
    """Return the level of a value; a level that was reached is left only beyond the hysteresis."""
    reached = Level.OK
    for level, limit in ((Level.WARNING, threshold.warning), (Level.CRITICAL, threshold.critical)):
        if limit is None:
            continue
        held = _WORSE.get(before, 0) >= _WORSE[level]
        if _beyond(value, _edge(limit, threshold, held=held), falling=threshold.falling):
            reached = level
    return reached


def _edge(limit: float, threshold: Threshold, *, held: bool) -> float:
    if not held:
        return limit
    back = abs(limit) * threshold.hysteresis
    return limit + back if threshold.falling else limit - back


def _beyond(value: float, edge: float, *, falling: bool) -> bool:
    return value <= edge if falling else value >= edge


def _folded(fold: Fold, values: Sequence[float]) -> float | None:
    if not values:
        return None
    match fold:
        case Fold.HIGHEST:
            return max(values)
        case Fold.LOWEST:
            return min(values)
        case Fold.SUM:
            return sum(values)


def _place(check: Check, known: Sequence[Sample], value: float) -> str:
    """Say why it is so, or which of several it is."""
    if check.fold is Fold.SUM:
        return ""
    worst = next((s for s in known if s.value == value), None)
    if worst is not None and worst.reason:
        return worst.reason
    told = dict(worst.attributes) if worst is not None else {}
    return ", ".join(f"{name} {text}" for name, text in told.items() if text)


def _verdict(
    check: Check,
    level: Level,
    value: float | None,
    reason: str,
    before: Verdict | None,
    at: datetime,
) -> Verdict:
    same = before is not None and before.level is level
    since = before.since if before is not None and same else at
    return Verdict(check.name, level, since, at, value, reason)


def by_metric(samples: Sequence[Sample]) -> Mapping[str, Sequence[Sample]]:
    """Return samples by the name of their metric."""
    found: dict[str, list[Sample]] = {}
    for sample in samples:
        found.setdefault(sample.metric, []).append(sample)
    return found
