"""Names, texts and spans in the words that a person will read or run."""

from __future__ import annotations

from datetime import datetime


def identifier(name: str) -> str:
    """Quote a name."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Quote a text; a backslash means itself (standard_conforming_strings is on)."""
    return "'" + text.replace("'", "''") + "'"


def qualified(schema: str, name: str) -> str:
    """Quote a name with its schema."""
    return f"{identifier(schema)}.{identifier(name)}"


def since(begun: datetime, at: datetime) -> str:
    """Return a sample window in words."""
    hours = (at - begun).total_seconds() / 3600
    span = f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.0f} days"
    return f"since {begun:%Y-%m-%d %H:%M} UTC, {span}"


def one_line(query: str, limit: int = 200) -> str:
    """Return a statement on one line, cut."""
    text = " ".join(query.split())
    return text if len(text) <= limit else f"{text[: limit - 3]}..."
