"""What statements took between two looks, and which of them got slower than they were."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import median

from pgstead.model.statements import Counts, Reading, Regression, StatementKey, StatementWindow

TOP = 30  # statements of a window and database: what is stored stays bounded
CALLS = 10  # in a window, below which a mean says nothing
WINDOWS = 3  # before, at the least
FACTOR = 2.0  # times as long
SHARE = 0.001  # of the window's time that is lost by it: less is nobody's trouble


def deltas(
    before: Reading, after: Reading, top: int = TOP
) -> Sequence[tuple[StatementKey, Counts]]:
    """Return what took the most time between two looks.

    A statement that was forgotten and came again, or whose counters were reset, has counted from
    zero: what it has now is what it took since, or a part of it.
    """
    found = [(key, _minus(counts, before.counts.get(key))) for key, counts in after.counts.items()]
    busy = [(key, counts) for key, counts in found if counts.calls > 0]
    return sorted(busy, key=lambda f: -f[1].seconds)[:top]


def _minus(now: Counts, then: Counts | None) -> Counts:
    if then is None or now.calls < then.calls or now.seconds < then.seconds:
        return now
    return Counts(
        now.calls - then.calls,
        now.seconds - then.seconds,
        now.rows - then.rows,
        now.blocks_read - then.blocks_read,
        now.temp_bytes - then.temp_bytes,
    )


def by_statement(
    windows: Iterable[StatementWindow],
) -> Mapping[StatementKey, Sequence[StatementWindow]]:
    """Return the windows of each statement, in order of time."""
    found: dict[StatementKey, list[StatementWindow]] = {}
    for window in sorted(windows, key=lambda w: w.ended):
        found.setdefault(window.key, []).append(window)
    return found


def regressions(windows: Iterable[StatementWindow]) -> Iterator[Regression]:
    """Yield statements whose newest window is slower than those before, worst first."""
    found = [r for own in by_statement(windows).values() if (r := _regression(own)) is not None]
    yield from sorted(found, key=lambda r: -(r.now - r.before) * r.calls)


def _regression(own: Sequence[StatementWindow]) -> Regression | None:
    *past, newest = own
    counted = [w for w in past if w.counts.calls >= CALLS]
    if newest.counts.calls < CALLS or len(counted) < WINDOWS:
        return None
    before = median(w.mean for w in counted)
    lost = (newest.mean - before) * newest.counts.calls
    span = (newest.ended - newest.begun).total_seconds()
    if before <= 0 or newest.mean < FACTOR * before or lost < SHARE * span:
        return None
    return Regression(
        newest.key,
        newest.query,
        before,
        newest.mean,
        len(counted),
        newest.counts.calls,
        newest.begun,
        newest.ended,
    )
