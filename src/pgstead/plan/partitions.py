"""Which partitions a table should have at a moment, and which are too old. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from pgstead.model.partitions import (
    Every,
    Part,
    Partitioning,
    Rollover,
    Wanted,
    fitting,
    floor,
    following,
    name_of,
)


def rollover(wanted: Partitioning, there: tuple[Part, ...], now: datetime) -> Rollover:
    """Return what has to be made, dropped and finished at a moment.

    What was cut short is finished where the partition is due: one that somebody else was detaching
    may be meant to be kept.
    """
    old = tuple(_old(wanted, there, now))
    cut = tuple(part for part in there if part.pending or part.detached)
    finish = tuple(part for part in cut if part in old)
    stray = tuple(part for part in cut if part not in old)
    whole = tuple(part for part in there if part not in cut)
    drop = tuple(part for part in whole if part in old)
    unmark = tuple(part for part in whole if part.marked and part not in old)
    there = tuple(part for part in there if not part.detached)
    if wanted.every is None:
        known = {part.remainder for part in there}
        return Rollover(
            tuple(
                Wanted(fitting(wanted.table, f"_h{n}"), modulus=wanted.count, remainder=n)
                for n in range(wanted.count)
                if n not in known
            ),
            finish=finish,
            stray=stray,
            unmark=unmark,
        )
    uppers = [part.upper for part in there if part.upper is not None]
    late = bool(uppers) and max(uppers) <= now
    return Rollover(
        tuple(_ahead(wanted, wanted.every, there, now)),
        drop,
        finish,
        stray,
        unmark,
        late=late,
    )


def _ahead(
    wanted: Partitioning, every: Every, there: tuple[Part, ...], now: datetime
) -> Iterator[Wanted]:
    """Yield the partitions of now and of what comes, as far as their times are free.

    A partition that ends in the middle of a month (a table that was converted then) has its rest
    made; one that begins there ends what is made before it.
    """
    start = floor(now, every)
    for _ in range(wanted.ahead + 1):
        end = following(start, every)
        for lower, upper in _free(start, end, there):
            name = name_of(wanted.table, start, every)
            if lower != start:
                name = fitting(wanted.table, f"_p{lower:%Y_%m_%d_%H%M}")
            yield Wanted(name, lower, upper)
        start = end


def _free(
    start: datetime, end: datetime, there: tuple[Part, ...]
) -> Iterator[tuple[datetime, datetime]]:
    """Yield what of a span belongs to no partition yet."""
    taken = sorted(
        (max(part.lower or start, start), min(part.upper or end, end))
        for part in there
        if not part.default and part.remainder is None
        if (part.lower or start) < end and (part.upper or end) > start
    )
    for lower, upper in taken:
        if lower > start:
            yield start, lower
        start = max(start, upper)
    if start < end:
        yield start, end


def _old(wanted: Partitioning, there: tuple[Part, ...], now: datetime) -> Iterator[Part]:
    if wanted.keep is None:
        return
    limit = now - timedelta(seconds=wanted.keep)
    for part in there:
        if part.upper is not None and part.upper <= limit:
            yield part
