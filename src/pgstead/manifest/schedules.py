"""Schedules as cron(5) writes them: minute, hour, day of the month, month, day of the week."""

from __future__ import annotations

import re
from collections.abc import Sequence

_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_PART = re.compile(r"^(?:\*|(?P<first>\w+)(?:-(?P<last>\w+))?)(?:/(?P<step>\d+))?$")
_FIELDS: Sequence[tuple[str, int, int, tuple[str, ...]]] = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("day of the week", 0, 7, _DAYS),
)


def checked(text: str) -> str:
    """Return a schedule with single spaces. Raises ValueError that says what is allowed."""
    parts = text.lower().split()
    if len(parts) != len(_FIELDS):
        raise ValueError(
            f"{len(parts)} fields instead of five: minute, hour, day, month, day of the week;"
            ' "0 2 * * *" is every day at 2:00 UTC'
        )
    for part, (name, low, high, words) in zip(parts, _FIELDS, strict=True):
        for piece in part.split(","):
            if not _fits(piece, low, high, words):
                raise ValueError(f"{piece!r} is no {name}: allowed are {low}-{high}, *, */N, lists")
    return " ".join(parts)


def _fits(piece: str, low: int, high: int, words: tuple[str, ...]) -> bool:
    match = _PART.match(piece)
    if match is None or match["step"] == "0":
        return False
    ends = [_number(match[name], low, words) for name in ("first", "last") if match[name]]
    return all(low <= end <= high for end in ends) and ends == sorted(ends)


def _number(text: str, low: int, words: tuple[str, ...]) -> int:
    if text in words:
        return words.index(text) + (low if words is _MONTHS else 0)
    return int(text) if text.isdigit() else -1
