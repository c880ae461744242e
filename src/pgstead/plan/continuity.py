"""Do segments of WAL follow on one another: a question of their names."""

from __future__ import annotations

from collections.abc import Iterable

_SEGMENT = 16 * 2**20  # bytes, as initdb makes them
_PER_LOG = 2**32 // _SEGMENT


def followed(names: Iterable[str], first: str) -> bool:
    """Say whether every segment is there from one on to the last, whatever its timeline.

    That none has come yet, or that the first one is still being received, is no gap.
    """
    start = number(first)
    numbers = {number(name) for name in names if len(name) == 24}
    later = {n for n in numbers if n >= start}
    return not later or later == set(range(start, max(later) + 1))


def number(segment: str) -> int:
    """Return the number of a segment on its timeline."""
    return int(segment[8:16], 16) * _PER_LOG + int(segment[16:24], 16)
