"""How systemd wants things written: unit names, words, paths (systemd.syntax(7)).

A `%` begins a specifier everywhere, a `$` a variable in command lines; a backslash and quotes
work as in C.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence

_SAFE = re.compile(r"[^A-Za-z0-9_.-]")
_PLAIN = re.compile(r"[A-Za-z0-9_./:=@,+-]+")
_LONGEST = 200  # of 255 bytes (systemd.unit(5)); the rest is for prefix and suffix
_ESCAPES = {"\\": r"\\", '"': r"\"", "\n": r"\n", "\t": r"\t", "%": "%%"}


def name(*parts: str) -> str:
    """Return a part of a unit's name; what it may not hold is written as systemd-escape does."""
    text = "-".join(parts)
    told = "".join(f"\\x{byte:02x}" for byte in text.encode()) if text in {".", ".."} else text
    told = _SAFE.sub(lambda m: "".join(f"\\x{byte:02x}" for byte in m[0].encode()), told)
    if len(told) <= _LONGEST:
        return told
    return told[: _LONGEST - 16] + hashlib.sha256(told.encode()).hexdigest()[:16]


def word(text: str) -> str:
    """Quote a word of a list."""
    if _PLAIN.fullmatch(text):
        return text
    return '"' + "".join(_ESCAPES.get(c, c) for c in text) + '"'


def line(text: str) -> str:
    """Write a value that takes the whole line, such as a directory."""
    return text.replace("%", "%%")


def command(words: Sequence[str]) -> str:
    """Write a command line (systemd.service(5)): nothing in it is expanded."""
    first, *others = words
    return " ".join([word(first), *(word(w).replace("$", "$$") for w in others)])


def section(title: str, entries: Iterable[tuple[str, str]]) -> str:
    """Write a section; an entry without a value empties what was set before."""
    return "\n".join([f"[{title}]", *(f"{key}={value}" for key, value in entries)])
