"""Findings: what is wrong, where, what breaks and for how long, and the safe way with its code."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Level(Enum):
    """How grave a finding is."""

    ERROR = "error"  # refused
    WARNING = "warning"  # to be looked at
    NOTE = "note"  # harmless here, as far as is known


@dataclass(frozen=True, slots=True)
class Finding:
    """One place of one revision that would hurt."""

    rule: str
    level: Level
    revision: str
    file: str
    line: int  # 0: the revision as a whole
    statement: str  # its beginning
    message: str
    breaks: str  # what, and for how long
    safe: str
    code: str
    table: str = ""
    origin: str = "pgstead"  # or "squawk"


@dataclass(frozen=True, slots=True)
class Ignored:
    """A finding that the revision itself answers for."""

    finding: Finding
    reason: str


@dataclass(frozen=True, slots=True)
class Report:
    """What the lint of some revisions found."""

    revisions: tuple[str, ...]
    findings: tuple[Finding, ...]
    ignored: tuple[Ignored, ...]

    def at(self, level: Level) -> tuple[Finding, ...]:
        """Return the findings of a level."""
        return tuple(f for f in self.findings if f.level is level)

    @property
    def clean(self) -> bool:
        """Nothing was found that is refused."""
        return not self.at(Level.ERROR)
