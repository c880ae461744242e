"""Do segments of WAL follow on one another: a question of their names."""

from __future__ import annotations

from collections.abc import Iterable


def followed(names: Iterable[str], first: str, size: int) -> bool:
    """Say whether every segment is there from one on to the last, whatever its timeline.

    `size` is that of a segment in bytes: how they are numbered depends on it. That none has come
    yet, or that the first one is still being received, is no gap.
    """
    start = number(first, size)
    numbers = {number(name, size) for name in names if len(name) == 24}
    later = {n for n in numbers if n >= start}
    return not later or later == set(range(start, max(later) + 1))


def number(segment: str, size: int) -> int:
    """Return the number of a segment of `size` bytes on its timeline."""
    return int(segment[8:16], 16) * (2**32 // size) + int(segment[16:24], 16)
