"""What PgBouncer knows of its options: type, since which version, reloadable or not.

From its sources (src/main.c by tag) and from SHOW CONFIG of 1.18, 1.24 and 1.26.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType

from pgstead.catalog.lookup import close_to
from pgstead.errors import ManifestError

Version = tuple[int, int, int]
_SECONDS = MappingProxyType({"": 1.0, "ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0})
_WRITTEN = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*$")
_ON = frozenset({"1", "on", "true", "yes"})
_OFF = frozenset({"0", "off", "false", "no"})


@dataclass(frozen=True, slots=True)
class Option:
    """One option of the [pgbouncer] section."""

    name: str
    type: str  # time, integer, bool, text, enum, mode
    default: str
    reloadable: bool
    since: Version
    until: Version  # first version without it
    enum: tuple[str, ...]
    ours: str  # why pgstead decides it; empty where the manifest may


def _version(text: str) -> Version:
    major, minor, patch = (int(part) for part in text.split("."))
    return major, minor, patch


@cache
def options() -> Mapping[str, Option]:
    """Return every option, by name."""
    source = resources.files("pgstead.catalog") / "data" / "pgbouncer.json"
    told = json.loads(source.read_text(encoding="utf-8"))
    return MappingProxyType(
        {
            name: Option(
                name=name,
                type=facts["type"],
                default=facts["default"],
                reloadable=facts["reloadable"],
                since=_version(facts.get("since", "0.0.0")),
                until=_version(facts.get("until", "999.0.0")),
                enum=tuple(facts.get("enum", ())),
                ours=facts.get("ours", ""),
            )
            for name, facts in told.items()
        }
    )


def option(name: str) -> Option:
    """Return an option. Raises ManifestError with a hint."""
    found = options().get(name)
    if found is None:
        raise ManifestError(
            f'PgBouncer has no option "{name}"', hint=close_to(name, list(options()))
        )
    return found


def exists(name: str, version: Version) -> bool:
    """Say whether a version of PgBouncer has an option."""
    found = option(name)
    return found.since <= version < found.until


def canonical(name: str, value: str) -> str:
    """Return a value as SHOW CONFIG tells it. Raises ManifestError when invalid."""
    found = option(name)
    word = value.strip()
    match found.type:
        case "bool":
            return _switch(found, word)
        case "integer":
            if not re.fullmatch(r"-?\d+", word):
                raise _invalid(found, value, "allowed: a whole number")
            return str(int(word))
        case "time":
            return _seconds(found, word)
        case "mode":
            # SHOW CONFIG tells file modes in decimal: 0700 is 448.
            return str(int(word, 8))
        case "enum" if word not in found.enum:
            raise _invalid(found, value, f"allowed: {', '.join(found.enum)}")
        case _:
            return word


def _switch(found: Option, word: str) -> str:
    if word.lower() in _ON:
        return "1"
    if word.lower() in _OFF:
        return "0"
    raise _invalid(found, word, "allowed: 0 or 1")


def _seconds(found: Option, word: str) -> str:
    match = _WRITTEN.match(word)
    if match is None or match.group(2) not in _SECONDS:
        raise _invalid(found, word, 'allowed: seconds, or a text like "30s" or "15min"')
    return f"{float(match.group(1)) * _SECONDS[match.group(2)]:g}"


def _invalid(found: Option, value: str, hint: str) -> ManifestError:
    return ManifestError(f'"{value}" is no valid value of {found.name}', hint=hint)
