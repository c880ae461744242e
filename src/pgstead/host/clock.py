"""The time, always UTC and with its offset."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> datetime:
    """Return this moment."""
    return datetime.now(UTC)


def stamp(moment: datetime | None = None) -> str:
    """Return a moment as ISO 8601 in UTC with milliseconds; this one where none is given."""
    return (moment or now()).astimezone(UTC).isoformat(timespec="milliseconds")
