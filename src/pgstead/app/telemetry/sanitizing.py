"""Statement text without what was written into it: literals may be somebody's data.

Bound values never are in the text; who writes `text("... = 'secret'")` put them there.
https://opentelemetry.io/docs/specs/semconv/database/database-spans/#sanitization-of-dbquerytext
"""

from __future__ import annotations

import re
from typing import Final

LONGEST: Final = 2000  # characters of a statement that are told
# In this order: what looks like a literal inside of a quoted name or a comment is none
# (https://www.postgresql.org/docs/current/sql-syntax-lexical.html).
_PARTS = re.compile(
    r"""
      (?P<name>"(?:[^"]|"")*")
    | (?P<comment>--[^\n]*|/\*.*?\*/)
    | (?P<escaped>\b[eE]'(?:[^'\\]|\\.|'')*')
    | (?P<quoted>(?:\b[bBxXnN]|\b[uU]&)?'(?:[^']|'')*')
    | (?P<dollar>\$(?P<tag>(?:[^\W\d]\w*)?)\$.*?\$(?P=tag)\$)
    | (?P<number>(?<![\w$%:"])[+-]?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?!\w))
    | (?P<stray>['"]|/\*|\$[^\W\d]*\w*\$)
    """,
    re.VERBOSE | re.DOTALL,
)


def sanitized(statement: str) -> str:
    """Return a statement with `?` for each literal; empty where its literals cannot be told."""
    try:
        plain = _PARTS.sub(_replaced, statement)
    except ValueError:
        return ""
    return " ".join(plain.split())[:LONGEST]


def _replaced(found: re.Match[str]) -> str:
    match found.lastgroup:
        case "name":
            return found[0]
        case "comment":
            return " "
        case "stray":
            raise ValueError("a quote that is not closed: what follows may be a literal")
        case _:
            return "?"
