"""Which partitions a table should have at a moment, and which are too old. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import datetime, timedelta

from pgstead.model.partitions import Every, Part, Partitioning, Rollover, Wanted

_LONGEST = 63  # bytes of an identifier


def floor(moment: datetime, every: Every) -> datetime:
    """Return when the time of a partition began that holds a moment (UTC)."""
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    match every:
        case Every.DAY:
            return day
        case Every.WEEK:
            return day - timedelta(days=day.weekday())
        case Every.MONTH:
            return day.replace(day=1)
        case Every.YEAR:
            return day.replace(month=1, day=1)


def following(start: datetime, every: Every) -> datetime:
    """Return when the time of the next partition begins."""
    match every:
        case Every.DAY:
            return start + timedelta(days=1)
        case Every.WEEK:
            return start + timedelta(days=7)
        case Every.MONTH:
            return floor(start + timedelta(days=32), every)
        case Every.YEAR:
            return start.replace(year=start.year + 1)


def name_of(table: str, start: datetime, every: Every) -> str:
    """Return the name of a partition: `events_p2026_11`."""
    forms = {Every.DAY: "%Y_%m_%d", Every.WEEK: "%Gw%V", Every.MONTH: "%Y_%m", Every.YEAR: "%Y"}
    return _fitting(table, f"_p{start.strftime(forms[every])}")


def _fitting(table: str, ending: str) -> str:
    name = table.rpartition(".")[2]
    if len((name + ending).encode()) <= _LONGEST:
        return name + ending
    mark = hashlib.sha256(name.encode()).hexdigest()[:8]
    room = _LONGEST - len(ending) - len(mark) - 1
    return f"{name.encode()[:room].decode(errors='ignore')}_{mark}{ending}"


def rollover(wanted: Partitioning, there: tuple[Part, ...], now: datetime) -> Rollover:
    """Return what has to be made, dropped and finished at a moment."""
    finish = tuple(part for part in there if part.pending)
    if wanted.every is None:
        known = {part.remainder for part in there}
        return Rollover(
            tuple(
                Wanted(_fitting(wanted.table, f"_h{n}"), modulus=wanted.count, remainder=n)
                for n in range(wanted.count)
                if n not in known
            ),
            finish=finish,
        )
    uppers = [part.upper for part in there if part.upper is not None]
    late = bool(uppers) and max(uppers) <= now
    return Rollover(
        tuple(_ahead(wanted, wanted.every, there, now)),
        tuple(_old(wanted, there, now)),
        finish,
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
                name = _fitting(wanted.table, f"_p{lower:%Y_%m_%d_%H%M}")
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
        if part.upper is not None and part.upper <= limit and not part.pending:
            yield part
