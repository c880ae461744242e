"""Promises: a sentence, the requirement behind it, and the attempt that decides it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgstead.model.address import Capability
from pgstead.prove.finding import Evidence, Finding, Verdict

if TYPE_CHECKING:
    from pgstead.prove.witness import Witness

Body = Callable[["Witness"], Iterable[Finding]]

CODE = re.compile(r"^[A-Z]{3}-\d{3}$")
REQUIREMENT = re.compile(r"^[A-Z]{3}-\d+$")


@dataclass(frozen=True, slots=True)
class Promise:
    """One promise. Its code is never used for another one (tests/sabotage/retired.txt)."""

    code: str
    text: str  # a sentence in the present tense
    requirements: tuple[str, ...]
    capability: Capability
    body: Body
    needs: tuple[str, ...] = ()  # see witness.Witness.lacks
    disruptive: bool = False  # interrupts service; tried only when asked for
    limit: float = 30.0  # seconds, after which the attempt is given up and nothing is proven
    long: bool = False  # takes many seconds a database; tried only when its code is named

    def named(self, words: Iterable[str]) -> bool:
        """Say whether it was asked for by its own code."""
        return self.code.casefold() in {word.casefold() for word in words}


@dataclass(frozen=True, slots=True)
class Outcome:
    """A promise after it was tried."""

    promise: Promise
    verdict: Verdict
    findings: tuple[Finding, ...]
    seconds: float
    could_try: bool = True

    @property
    def reason(self) -> str:
        """Why the verdict is not `kept`: what the first telling finding expected."""
        return next((f.reason for f in self.telling if f.reason), "")

    @property
    def hint(self) -> str:
        """What to do about it."""
        return next((f.hint for f in self.telling if f.hint), "")

    @property
    def telling(self) -> tuple[Finding, ...]:
        """The findings that decided the verdict."""
        return tuple(f for f in self.findings if f.verdict is self.verdict)

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """All that was tried."""
        return tuple(f.evidence for f in self.findings if f.evidence is not None)


def promise(
    code: str,
    text: str,
    *,
    requirement: str,
    capability: Capability,
    needs: tuple[str, ...] = (),
    disruptive: bool = False,
    limit: float = 30.0,
    long: bool = False,
) -> Callable[[Body], Promise]:
    """Make a promise of the function that tries it. `requirement` may name several, spaced."""
    requirements = tuple(requirement.split())
    if not CODE.match(code) or not requirements:
        raise AssertionError(f"a promise needs a code like TLS-001 and a requirement: {code}")
    if not all(REQUIREMENT.match(r) for r in requirements):
        raise AssertionError(f"{code} names a requirement that has no such form: {requirement}")

    def made(body: Body) -> Promise:
        return Promise(code, text, requirements, capability, body, needs, disruptive, limit, long)

    return made


def judged(tried: Promise, findings: tuple[Finding, ...], seconds: float) -> Outcome:
    """Weigh findings: one broken breaks, one unproven leaves it open, none shows nothing."""
    verdicts = {f.verdict for f in findings}
    if Verdict.BROKEN in verdicts:
        return Outcome(tried, Verdict.BROKEN, findings, seconds)
    if Verdict.UNPROVEN in verdicts:
        could = any(f.could_try for f in findings if f.verdict is Verdict.UNPROVEN)
        return Outcome(tried, Verdict.UNPROVEN, findings, seconds, could_try=could)
    if not findings:
        nothing = Finding(Verdict.UNPROVEN, reason="there was nothing to try", could_try=False)
        return Outcome(tried, Verdict.UNPROVEN, (nothing,), seconds, could_try=False)
    return Outcome(tried, Verdict.KEPT, findings, seconds)
