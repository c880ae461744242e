"""What an attempt showed: verdicts, the evidence for them, and answers on the way there."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Generic, TypeVar

T = TypeVar("T")


class Verdict(StrEnum):
    """What is known of a promise. `unproven` is never a pass."""

    KEPT = "kept"
    BROKEN = "broken"
    UNPROVEN = "unproven"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was tried and what came back, so that a reader can try it again. No secrets."""

    tried: str  # the exact command or query
    answer: str
    seconds: float
    at: str  # ISO 8601, UTC


@dataclass(frozen=True, slots=True)
class Finding:
    """One attempt judged."""

    verdict: Verdict
    evidence: Evidence | None = None
    reason: str = ""  # what was expected, or why nothing could be tried
    hint: str = ""
    could_try: bool = True  # only of `unproven`: this environment could have tried it


class CannotTryError(Exception):
    """An attempt that could not be made; its promise is unproven, never kept."""

    def __init__(
        self, reason: str, *, could_try: bool = True, evidence: Evidence | None = None
    ) -> None:
        """Say why, and whether this environment could have tried it."""
        super().__init__(reason)
        self.reason = reason
        self.could_try = could_try
        self.evidence = evidence

    def finding(self) -> Finding:
        """Return the unproven finding."""
        return Finding(
            Verdict.UNPROVEN, self.evidence, reason=self.reason, could_try=self.could_try
        )


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """What came back from one attempt, not judged yet."""

    tried: str
    text: str
    value: T
    seconds: float
    at: str

    @property
    def evidence(self) -> Evidence:
        """The evidence that this answer is."""
        return Evidence(self.tried, shortened(self.text), round(self.seconds, 4), self.at)

    def kept(self, said: str = "") -> Finding:
        """Judge: as promised. `said` replaces an answer that is too long to read."""
        return Finding(Verdict.KEPT, self._evidence(said))

    def broken(self, expected: str, *, hint: str = "", said: str = "") -> Finding:
        """Judge: against the promise."""
        return Finding(Verdict.BROKEN, self._evidence(said), reason=expected, hint=hint)

    def unproven(self, reason: str, *, could_try: bool = True) -> Finding:
        """Judge: this shows nothing either way."""
        return Finding(Verdict.UNPROVEN, self.evidence, reason=reason, could_try=could_try)

    def shows(self, *, holds: bool, expected: str, hint: str = "", said: str = "") -> Finding:
        """Judge by a condition."""
        return self.kept(said) if holds else self.broken(expected, hint=hint, said=said)

    def _evidence(self, said: str) -> Evidence:
        text = shortened(said or self.text)
        return Evidence(self.tried, text, round(self.seconds, 4), self.at)


def shortened(text: str, limit: int = 400) -> str:
    """Return the text on one line, cut where nobody reads on."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def now() -> str:
    """Return the time of day as evidence carries it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


@dataclass(slots=True)
class Stopwatch:
    """How long an attempt took, and when it began."""

    at: str
    seconds: float = 0.0


@contextmanager
def timed() -> Generator[Stopwatch]:
    """Measure the block; the seconds are there when it is left, however it is left."""
    watch = Stopwatch(now())
    began = time.monotonic()
    try:
        yield watch
    finally:
        watch.seconds = time.monotonic() - began


def answer(tried: str, text: str, value: T, watch: Stopwatch) -> Answer[T]:
    """Make an answer of what a measured block gave."""
    return Answer(tried, text, value, watch.seconds, watch.at)
