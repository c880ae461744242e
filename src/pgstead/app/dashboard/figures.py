"""Numbers with their unit (UCUM) as people read them; what is unknown is never a number."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

UNKNOWN = "unknown"
_BYTES = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_SPANS: Sequence[tuple[float, str]] = ((86_400.0, "d"), (3600.0, "h"), (60.0, "min"))


def figure(value: float | None, unit: str) -> str:
    """Return a value for people."""
    if value is None:
        return UNKNOWN
    if unit == "By":
        return size(value)
    if unit == "s":
        return span(value)
    if unit == "1" and 0 <= value <= 1:
        return f"{value:.1%}" if value not in (0, 1) else f"{value:.0%}"
    if unit == "By/s":
        return f"{size(value)}/s"
    plain = unit.strip("{}") if unit != "1" else ""
    return f"{number(value)} {plain if value == 1 else plural(plain)}".strip()


def plural(word: str) -> str:
    """Return the plural of a unit's name: {query}, {index}, {lock}."""
    if word.endswith("y"):
        return f"{word[:-1]}ies"
    return f"{word}{'es' if word.endswith(('x', 's')) else 's' if word else ''}"


def number(value: float) -> str:
    """Return a number with three digits that count."""
    if value == 0:
        return "0"
    if abs(value) >= 1000:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.3g}"


def size(value: float) -> str:
    """Return bytes in the unit that leaves fewest digits."""
    power = 0
    while abs(value) >= 1024 and power < len(_BYTES) - 1:
        value, power = value / 1024, power + 1
    return f"{value:.3g} {_BYTES[power]}" if power else f"{value:.0f} B"


def span(value: float) -> str:
    """Return seconds in the unit that people would use."""
    for length, name in _SPANS:
        if abs(value) >= 2 * length:
            return f"{value / length:.3g} {name}"
    if value == 0 or abs(value) >= 1:
        return f"{value:.3g} s"
    return f"{value * 1000:.3g} ms"


def moment(at: float) -> str:
    """Return a Unix time in UTC; the page is made where nobody knows the reader's zone."""
    return dt.datetime.fromtimestamp(at, dt.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def clock(at: float) -> str:
    """Return hour and minute in UTC."""
    return dt.datetime.fromtimestamp(at, dt.UTC).strftime("%H:%M")
