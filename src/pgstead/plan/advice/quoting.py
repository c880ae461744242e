"""Names and texts as SQL writes them, for statements that a person will run."""

from __future__ import annotations


def identifier(name: str) -> str:
    """Quote a name."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Quote a text; a backslash means itself (standard_conforming_strings is on)."""
    return "'" + text.replace("'", "''") + "'"
