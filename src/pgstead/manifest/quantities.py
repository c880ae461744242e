"""Sizes and durations as people write them: "8GB", "30s". Units as PostgreSQL has them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated

from pydantic import BeforeValidator, Field, Strict, WithJsonSchema

SIZES: Mapping[str, int] = MappingProxyType(
    {"kB": 1024, "MB": 1024**2, "GB": 1024**3, "TB": 1024**4}
)
DURATIONS: Mapping[str, float] = MappingProxyType(
    {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
)
_WRITTEN = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*([A-Za-z]+)\s*$")


def _amount(value: object, units: Mapping[str, float], example: str) -> float:
    allowed = f'allowed: a text like "{example}" (units: {", ".join(units)})'
    if not isinstance(value, str):
        raise ValueError(allowed)
    found = _WRITTEN.match(value)
    if found is None:
        raise ValueError(allowed)
    number, unit = found.groups()
    if unit not in units:
        close = next((u for u in units if u.lower() == unit.lower()), "")
        raise ValueError(f'did you mean "{close}"? {allowed}' if close else allowed)
    return float(number) * units[unit]


def size(value: object) -> int:
    """Return a size in bytes. Raises ValueError that says what is allowed."""
    return value if type(value) is _Bytes else _Bytes(_amount(value, SIZES, "8GB"))


def duration(value: object) -> float:
    """Return a duration in seconds. Raises ValueError that says what is allowed."""
    return value if type(value) is _Seconds else _Seconds(_amount(value, DURATIONS, "30s"))


class _Bytes(int):
    """A size that was read already: the model is validated again when it is copied."""

    __slots__ = ()


class _Seconds(float):
    """A duration that was read already."""

    __slots__ = ()


def written_size(count: int) -> str:
    """Return bytes in the largest unit that holds them whole."""
    for unit in ("TB", "GB", "MB", "kB"):
        if count and count % SIZES[unit] == 0:
            return f"{count // SIZES[unit]}{unit}"
    return f"{count}B"


def written_duration(seconds: float) -> str:
    """Return seconds in the largest unit that holds them whole."""
    milliseconds = round(seconds * 1000)
    for unit, factor in (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1000)):
        if milliseconds and milliseconds % factor == 0:
            return f"{milliseconds // factor}{unit}"
    return f"{milliseconds}ms" if milliseconds else "0"


Size = Annotated[
    int,
    BeforeValidator(size),
    WithJsonSchema({"type": "string", "pattern": r"^\d+(\.\d+)?\s*(kB|MB|GB|TB)$"}),
]
Duration = Annotated[
    float,
    BeforeValidator(duration),
    WithJsonSchema({"type": "string", "pattern": r"^\d+(\.\d+)?\s*(ms|s|min|h|d)$"}),
]
Whole = Annotated[int, Strict()]
Port = Annotated[Whole, Field(ge=1, le=65535)]
Switch = Annotated[bool, Strict()]
