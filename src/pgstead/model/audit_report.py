"""The report of an audit: each question, what was tried, and what came of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tried:
    """One promise behind a question."""

    code: str
    promise: str
    verdict: str  # kept, broken, unproven
    attempts: int
    evidence: str  # of the attempt that decided: what was tried, what came back
    reason: str


@dataclass(frozen=True, slots=True)
class Checked:
    """One question, answered as badly as the worst promise behind it."""

    number: int
    asks: str
    verdict: str
    controls: tuple[str, ...]
    sources: tuple[str, ...]
    gap: str
    tried: tuple[Tried, ...]


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What an auditor is handed. Carries no secret."""

    stead: str
    environment: str
    began: str
    seconds: float
    versions: Mapping[str, str]
    checks: tuple[Checked, ...]
    waivers: tuple[str, ...]
    notices: tuple[str, ...]
    trail: str  # number and hash of the audit trail's last record; empty: none is kept

    @property
    def counts(self) -> Mapping[str, int]:
        """How many questions came to which verdict."""
        counted = Counter(c.verdict for c in self.checks)
        return {verdict: counted[verdict] for verdict in ("kept", "broken", "unproven")}

    @property
    def controls(self) -> Mapping[str, str]:
        """The worst verdict of each CIS control that a question names."""
        order = ("kept", "unproven", "broken")
        found: dict[str, str] = {}
        for check in self.checks:
            for control in check.controls:
                known = found.get(control, "kept")
                found[control] = max(known, check.verdict, key=order.index)
        return dict(sorted(found.items(), key=lambda pair: [int(n) for n in pair[0].split(".")]))
