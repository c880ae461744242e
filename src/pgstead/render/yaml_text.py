"""YAML of plain values: blocks, with every text quoted as in JSON, which YAML contains."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence

Value = None | bool | int | float | str | Sequence["Value"] | Mapping[str, "Value"]
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
# YAML 1.1, which some tools read, takes them for truth values or nothing
_TAKEN = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})


def text(value: Mapping[str, Value]) -> str:
    """Return a mapping as a document."""
    return "\n".join(_mapping(value, "")) + "\n"


def _mapping(value: Mapping[str, Value], indent: str) -> Iterator[str]:
    for key, inner in value.items():
        plain = _PLAIN.fullmatch(key) and key.lower() not in _TAKEN
        name = key if plain else json.dumps(key)
        yield from _entry(f"{indent}{name}:", inner, indent)


def _entry(head: str, value: Value, indent: str) -> Iterator[str]:
    if isinstance(value, Mapping) and value:
        yield head
        yield from _mapping(value, f"{indent}  ")
    elif isinstance(value, Sequence) and not isinstance(value, str) and value:
        if all(isinstance(item, (str, int, float)) for item in value):
            yield f"{head} [{', '.join(json.dumps(item) for item in value)}]"
            return
        yield head
        for item in value:
            assert isinstance(item, Mapping)
            first, *rest = _mapping(item, f"{indent}    ")
            yield f"{indent}  - {first.strip()}"
            yield from rest
    else:
        yield f"{head} {json.dumps(value)}"
