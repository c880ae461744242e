"""Which base backups are let go of: a decision on what lies there, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pgstead.model.backup import StoredBackup

_FEW = 3  # young ones that a clock which jumped an hour ago may have made
_AHEAD = timedelta(minutes=10)  # by which clocks of two machines may differ


@dataclass(frozen=True, slots=True)
class Expiry:
    """What goes; where that cannot be trusted nothing does, and why."""

    gone: tuple[str, ...]  # oldest first
    refused: str = ""


def expiry(
    done: Sequence[StoredBackup],
    now: datetime,
    *,
    days: int,
    minimum: int,
    proven: str = "",
    trusting: bool = False,
) -> Expiry:
    """Return the backups, given oldest first, that no moment of the last days needs.

    The newest `minimum` full ones stay whatever their age, and so does the one that a drill has
    proven last. A clock that jumped must not cost the backups: nothing goes where the newest one
    seems to come from the future, nor where more than half would go at once
    and few are young; days later these are many. `trusting` leaves these questions out.
    """
    kept = needed(done, now, days=days, minimum=minimum)
    if proven:
        kept |= chain(done, proven)
    gone = tuple(found.name for found in done if found.name not in kept)
    if trusting:
        return Expiry(gone)
    ended = [found.ended for found in done if found.ended is not None]
    if gone and ended and max(ended) > now + _AHEAD:
        return Expiry((), f"the newest one ended at {max(ended):%F %T} UTC, which is to come")
    edge = now - timedelta(days=days)
    young = sum(1 for moment in ended if moment >= edge)
    if len(gone) > max(1, len(done) // 2) and young <= max(minimum, _FEW):
        return Expiry((), f"{len(gone)} of {len(done)} would go at once: did the clock jump?")
    return Expiry(gone)


def needed(
    done: Sequence[StoredBackup], now: datetime, *, days: int, minimum: int
) -> frozenset[str]:
    """Return the backups that recovery to any moment of the last days needs."""
    edge = now - timedelta(days=days)
    within = [found for found in done if found.ended is None or found.ended >= edge]
    before = [found for found in done if found not in within][-1:]  # to begin at the edge with
    newest = [found for found in done if found.kind == "full"][-max(1, minimum) :]
    return frozenset(
        name for found in (*within, *before, *newest) for name in chain(done, found.name)
    )


def chain(done: Sequence[StoredBackup], name: str) -> frozenset[str]:
    """Return a backup with all that it stands on."""
    known = {found.name: found for found in done}
    names: set[str] = set()
    while name in known and name not in names:
        names.add(name)
        name = known[name].parent
    return frozenset(names)
