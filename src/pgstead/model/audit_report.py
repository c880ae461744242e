"""The report of an audit: each question, what was tried, and what came of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
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
    could_try: bool = True  # what is unproven could have been tried here


@dataclass(frozen=True, slots=True)
class Answered:
    """A control of CIS, or a requirement of the specifications, and the questions about it."""

    name: str
    about: str
    left: str  # why no question is about it
    questions: tuple[int, ...]
    verdict: str  # the worst of theirs; empty where there is none


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

    @property
    def could_try(self) -> bool:
        """Whether something of it is unproven that could have been tried."""
        return any(t.verdict == "unproven" and t.could_try for t in self.tried)


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
    controls: tuple[Answered, ...] = ()
    requirements: tuple[Answered, ...] = ()

    @property
    def counts(self) -> Mapping[str, int]:
        """How many questions came to which verdict."""
        counted = Counter(c.verdict for c in self.checks)
        return {verdict: counted[verdict] for verdict in ("kept", "broken", "unproven")}

    @property
    def open_ones(self) -> tuple[Checked, ...]:
        """What is not kept: the broken before the unproven."""
        return tuple(
            c for wanted in ("broken", "unproven") for c in self.checks if c.verdict == wanted
        )


def worst(verdicts: Iterable[str]) -> str:
    """Return the verdict of many; nothing of nothing."""
    return max(verdicts, key=("kept", "unproven", "broken").index, default="")
