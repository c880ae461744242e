"""Availability from probe samples: declared maintenance left out, coverage shown. Pure.

A slot counts as much as the worse of server and pooler answered in it. A slot without any look
is neither up nor down: it lowers the coverage, and below ENOUGH nothing is claimed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from pgstead.model.availability import DAYS, ENOUGH, Availability, Maintenance, Slot


def slot_seconds(interval: float) -> float:
    """Return the length of a slot: two looks fit into it, so a late one leaves none empty."""
    return max(60.0, 2 * interval)


def availability(
    slots: Iterable[Slot],
    maintenance: Sequence[Maintenance],
    now: datetime,
    seconds: float,
    *,
    days: int = DAYS,
) -> Availability:
    """Return what the slots of the last days come to."""
    # the slot of now is not over, and the first one had begun before
    last = int(now.timestamp() // seconds)
    first = int((now - timedelta(days=days)).timestamp() // seconds) + 1
    excused = _excused(maintenance, range(first, last), seconds)
    up, samples = _answered(slots, range(first, last), excused)
    wanted = last - first - len(excused)
    coverage = len(up) / wanted if wanted > 0 else 0.0
    measured = sum(up.values()) / len(up) if up else None
    enough = coverage >= ENOUGH
    return Availability(
        ratio=measured if enough else None,
        measured=measured,
        coverage=coverage,
        down=sum(1 - share for share in up.values()) * seconds if up else None,
        sampled=len(up) * seconds,
        maintenance=len(excused) * seconds,
        days=days,
        samples=samples,
        reason="" if enough else _too_few(coverage, days, wanted),
    )


def _too_few(coverage: float, days: int, wanted: int) -> str:
    if wanted <= 0:
        return f"all of the last {days} days was declared maintenance"
    return f"samples cover {coverage:.2%} of the last {days} days; {ENOUGH:.0%} are needed"


def _excused(maintenance: Sequence[Maintenance], within: range, seconds: float) -> set[int]:
    """Return the slots that maintenance touches: half a slot cannot be told from the other."""
    found: set[int] = set()
    for window in maintenance:
        begins = int(window.begins.timestamp() // seconds)
        ends = -int(-window.ends.timestamp() // seconds)  # upwards
        found.update(range(max(begins, within.start), min(ends, within.stop)))
    return found


def _answered(
    slots: Iterable[Slot], within: range, excused: set[int]
) -> tuple[Mapping[int, float], int]:
    worst: dict[int, float] = {}
    samples = 0
    for slot in slots:
        if slot.number not in within or slot.number in excused:
            continue
        worst[slot.number] = min(worst.get(slot.number, 1.0), slot.share)
        samples += slot.count
    return worst, samples
