"""What PostgreSQL knows of its settings: types, units, ranges, per major version.

The data comes from `pg_settings` of real servers (tools/refresh_catalog.py). Values are brought
to the form that `pg_settings.setting` shows, so that wanted and found compare as text
(src/backend/utils/misc/guc.c: parse_int, parse_real, ShowGUCOption).
"""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import cast

from pgstead.errors import ManifestError

MAJORS = (15, 16, 17, 18)

# Builds differ in what they were compiled with; the design asks the build at hand.
_OPTIONAL_ENUMS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "io_method": ("sync", "worker", "io_uring"),
        "wal_compression": ("pglz", "lz4", "zstd", "on", "off"),
        "default_toast_compression": ("pglz", "lz4"),
    }
)
# Two words of one meaning: the server shows the first of its list.
_SHOWN_AS: Mapping[tuple[str, str], str] = MappingProxyType({("wal_compression", "on"): "pglz"})
_OCTAL = frozenset({"unix_socket_permissions", "log_file_mode", "data_directory_mode"})
_BOOL = MappingProxyType({
    "on": "on", "true": "on", "yes": "on", "1": "on",
    "off": "off", "false": "off", "no": "off", "0": "off",
})  # fmt: skip
_MEMORY = MappingProxyType({
    "B": 1, "kB": 1024, "MB": 1024**2, "GB": 1024**3, "TB": 1024**4,
})  # fmt: skip
_TIME = MappingProxyType({  # microseconds
    "us": 1, "ms": 1000, "s": 10**6, "min": 60 * 10**6, "h": 3600 * 10**6, "d": 86400 * 10**6,
})  # fmt: skip
_NUMBER = re.compile(
    r"^\s*([+-]?(?:0[xX][0-9a-fA-F]+|\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+))\s*(\w*)\s*$"
)
_UNIT = re.compile(r"^(\d*)(\w+)$")
_UNIT_NAME = re.compile(r"^\d+")


@dataclass(frozen=True, slots=True)
class Spec:
    """What one major version knows of one setting."""

    name: str
    type: str  # bool, integer, real, string, enum
    unit: str  # base unit: "8kB", "ms"; empty for none
    context: str  # user, superuser, sighup, postmaster, backend, superuser-backend, internal
    category: str
    minimum: float | None
    maximum: float | None
    enum: tuple[str, ...]
    default: str  # in the base unit
    about: str

    @property
    def restarts(self) -> bool:
        """Say whether a change takes effect only after a restart."""
        return self.context == "postmaster"


@cache
def settings(major: int) -> Mapping[str, Spec]:
    """Return every setting that a major version knows, by name."""
    source = resources.files("pgstead.catalog") / "data" / f"settings-{major}.json"
    told = json.loads(source.read_text(encoding="utf-8"))["settings"]
    return MappingProxyType({name: _spec(name, facts) for name, facts in told.items()})


@cache
def _folded(major: int) -> Mapping[str, str]:
    """Return names by their lower case: the server compares so (guc_name_compare)."""
    return MappingProxyType({name.lower(): name for name in settings(major)})


def _spec(name: str, facts: Mapping[str, object]) -> Spec:
    def number(key: str) -> float | None:
        return float(str(facts[key])) if key in facts else None

    enum = tuple(cast("list[str]", facts.get("enum", [])))
    return Spec(
        name=name,
        type=str(facts["type"]),
        unit=str(facts.get("unit", "")),
        context=str(facts["context"]),
        category=str(facts.get("category", "")),
        minimum=number("min"),
        maximum=number("max"),
        enum=_OPTIONAL_ENUMS.get(name, enum),
        default=str(facts.get("default", "")),
        about=str(facts.get("about", "")),
    )


def close_to(word: str, known: Iterable[str]) -> str:
    """Return `did you mean "x"?`, or nothing where no known word is close."""
    found = difflib.get_close_matches(word.lower(), {k.lower(): k for k in known}, 1, 0.6)
    if not found:
        return ""
    original = next(k for k in known if k.lower() == found[0])
    return f'did you mean "{original}"?'


def spec(major: int, name: str) -> Spec:
    """Return what a major version knows of a setting. Raises ManifestError with a hint."""
    known = settings(major)
    found = known.get(name) or known.get(_folded(major).get(name.lower(), ""))
    if found is not None:
        return found
    others = [m for m in MAJORS if m != major and name in settings(m)]
    message = f'PostgreSQL {major} has no setting "{name}"'
    if others:
        raise ManifestError(message, hint=f"it exists in {', '.join(map(str, others))}")
    raise ManifestError(message, hint=close_to(name, list(known)))


def canonical(major: int, name: str, value: str) -> str:
    """Return a value as `pg_settings.setting` shows it. Raises ManifestError when invalid."""
    found = spec(major, name)
    match found.type:
        case "bool":
            return _bool(found, value)
        case "enum":
            return _enum(found, value)
        case "integer" | "real":
            return _number(found, value)
        case _:
            return value


def display(major: int, name: str, value: str) -> str:
    """Return a canonical value as `SHOW` prints it: 131072 of 8kB becomes 1GB."""
    found = spec(major, name)
    scale = _scale(found)
    if scale is None or float(value) <= 0:
        return value
    base, units = scale
    close = 0 if found.type == "integer" else 1e-8  # as convert_real_from_base_unit has it
    amount = float(value) * base
    # Whole numbers keep to units from their own upwards; others may go below ("1500us").
    least = units[_UNIT_NAME.sub("", found.unit)] if found.type == "integer" else 1
    for unit, size in sorted(units.items(), key=lambda item: -item[1]):
        count = amount / size
        if size >= least and count >= 0.5 and math.isclose(count, round(count), rel_tol=close):
            return f"{round(count)}{unit}"
    return value


def _scale(found: Spec) -> tuple[int, Mapping[str, int]] | None:
    match = _UNIT.match(found.unit) if found.unit else None
    if match is None:
        return None
    units = _MEMORY if match.group(2) in _MEMORY else _TIME
    return int(match.group(1) or 1) * units[match.group(2)], units


def _bool(found: Spec, value: str) -> str:
    word = value.strip().lower()
    if word in _BOOL:
        return _BOOL[word]
    # Unique prefixes count (parse_bool_with_len): "t", "fal", "of"; "o" alone is ambiguous.
    full = {_BOOL[w] for w in ("true", "false", "yes", "no", "off") if w.startswith(word)}
    if word not in ("", "o") and len(full) == 1:
        return full.pop()
    raise _invalid(found, value, "allowed: on or off")


def _enum(found: Spec, value: str) -> str:
    word = value.strip().lower()
    named = {choice.lower(): choice for choice in found.enum}
    if word not in named:
        word = _BOOL.get(word, word)
    if word in named:
        return _SHOWN_AS.get((found.name, word), named[word])
    hint = f"allowed: {', '.join(found.enum)}"
    close = close_to(word, found.enum)
    raise _invalid(found, value, f"{close}; {hint}" if close else hint)


def _number(found: Spec, value: str) -> str:
    match = _NUMBER.match(value)
    if match is None:
        raise _invalid(found, value, _allowed(found))
    if found.name in _OCTAL:
        return _octal(found, value.strip())
    text, unit = match.groups()
    amount = _in_base_unit(found, _parsed(text, found.type), unit, value)
    if found.type == "integer":
        amount = float(round(amount))
    if found.minimum is not None and amount < found.minimum:
        raise _invalid(found, value, _allowed(found))
    if found.maximum is not None and amount > found.maximum:
        raise _invalid(found, value, _allowed(found))
    return str(int(amount)) if found.type == "integer" else f"{amount:g}"


def _parsed(text: str, kind: str) -> float:
    if re.match(r"^[+-]?0[xX]", text):
        return float(int(text, 16))
    if kind == "integer" and re.match(r"^[+-]?0[0-7]+$", text):
        return float(int(text, 8))  # strtol with base 0: a leading zero means octal
    return float(text)


def _octal(found: Spec, text: str) -> str:
    """Return file modes as their show hooks print them: four octal digits."""
    amount = int(text, 8) if text.startswith("0") else int(text)
    if found.maximum is not None and not 0 <= amount <= found.maximum:
        raise _invalid(found, text, f"allowed: 0000 to {int(found.maximum):04o}")
    return f"{amount:04o}"


def _in_base_unit(found: Spec, amount: float, unit: str, value: str) -> float:
    if not unit:
        return amount
    scale = _scale(found)
    if scale is None:
        raise _invalid(found, value, f"it takes no unit; {_allowed(found)}")
    base, units = scale
    if unit not in units:
        close = next((u for u in units if u.lower() == unit.lower()), "")
        hint = f'did you mean "{close}"?' if close else f"units: {', '.join(units)}"
        raise _invalid(found, value, hint)
    in_units = amount * units[unit]
    if found.type == "integer" and not amount.is_integer():
        # "30.1GB" is rounded to whole MB first (convert_to_base_unit).
        smaller = max((s for s in units.values() if s < units[unit]), default=1)
        in_units = math.floor(in_units / smaller + 0.5) * smaller
    return in_units / base


def _allowed(found: Spec) -> str:
    def told(bound: float | None) -> str:
        if bound is None:
            return "any"
        return str(int(bound)) if bound.is_integer() else f"{bound:g}"

    unit = f" (unit: {found.unit})" if found.unit else ""
    return f"allowed: {told(found.minimum)} to {told(found.maximum)}{unit}"


def _invalid(found: Spec, value: str, hint: str) -> ManifestError:
    kind = {"bool": "a switch", "enum": "a choice", "integer": "a whole number", "real": "a number"}
    wanted = kind.get(found.type, "a text")
    return ManifestError(
        f'"{value}" is no valid value of {found.name}, which is {wanted}', hint=hint
    )
