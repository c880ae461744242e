"""The report of a run: for people, for programs, and as an exit status."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass

from pgstead.errors import ExitStatus
from pgstead.model.design import Notice, Waiver
from pgstead.prove.finding import Finding, Verdict
from pgstead.prove.promise import Outcome

SCHEMA = 1  # of the JSON; raised when a key changes its meaning or goes away
_INDENT = " " * 19
_SHOWN = 3


@dataclass(frozen=True)
class Report:
    """Every promise that was asked for, with its verdict and evidence. Carries no secret."""

    stead: str
    stead_id: str
    environment: str
    began: str
    seconds: float
    versions: Mapping[str, str]
    machine: Mapping[str, str]
    outcomes: tuple[Outcome, ...]
    notices: tuple[Notice, ...] = ()
    waivers: tuple[Waiver, ...] = ()
    today: str = ""

    @property
    def counts(self) -> Mapping[Verdict, int]:
        """How many of each verdict."""
        counted = Counter(o.verdict for o in self.outcomes)
        return {verdict: counted[verdict] for verdict in Verdict}

    @property
    def exit_status(self) -> ExitStatus:
        """1 when a promise is broken, 4 when one is unproven that could have been tried here."""
        if self.counts[Verdict.BROKEN]:
            return ExitStatus.FAILED
        open_ones = (o for o in self.outcomes if o.verdict is Verdict.UNPROVEN)
        return ExitStatus.UNPROVEN if any(o.could_try for o in open_ones) else ExitStatus.DONE

    def verdicts(self) -> dict[str, Verdict]:
        """Return each code's verdict."""
        return {o.promise.code: o.verdict for o in self.outcomes}

    def outcome(self, code: str) -> Outcome | None:
        """Return the outcome of one promise."""
        return next((o for o in self.outcomes if o.promise.code == code), None)

    def by_requirement(self) -> dict[str, Verdict]:
        """Return the worst verdict per requirement (PRF-1)."""
        order = (Verdict.KEPT, Verdict.UNPROVEN, Verdict.BROKEN)
        worst: dict[str, Verdict] = {}
        for outcome in self.outcomes:
            for requirement in outcome.promise.requirements:
                known = worst.get(requirement, Verdict.KEPT)
                worst[requirement] = max(known, outcome.verdict, key=order.index)
        return worst

    # -- for people -----------------------------------------------------------------------------

    def text(self, *, evidence: bool = False) -> str:
        """Return the report for people; `evidence` shows every attempt, not only the telling."""
        width = max((len(o.promise.code) for o in self.outcomes), default=7)
        lines = [line for o in self.outcomes for line in _lines(o, width, evidence=evidence)]
        lines += [*self._remarks(), self._summary()]
        return "\n".join(lines) + "\n"

    def _remarks(self) -> Iterator[str]:
        for waiver in self.waivers:
            state = "EXPIRED" if waiver.expires < self.today else "until"
            yield f"waived: {waiver.what} {state} {waiver.expires}: {waiver.reason}"
        for notice in self.notices:
            yield f"{notice.severity}: {notice.text}"

    def _summary(self) -> str:
        counted = ", ".join(f"{count} {verdict}" for verdict, count in self.counts.items())
        said = f"{counted} in {self.seconds:.1f} s"
        return f"{said:<75} exit {int(self.exit_status)}"

    # -- for programs ---------------------------------------------------------------------------

    def as_dict(self) -> dict[str, object]:
        """Return the report as JSON has it."""
        return {
            "schema": SCHEMA,
            "stead": self.stead,
            "stead_id": self.stead_id,
            "environment": self.environment,
            "began": self.began,
            "seconds": self.seconds,
            "versions": dict(self.versions),
            "machine": dict(self.machine),
            "counts": {v.value: n for v, n in self.counts.items()},
            "exit_status": int(self.exit_status),
            "promises": [_told(o) for o in self.outcomes],
            "requirements": {r: v.value for r, v in sorted(self.by_requirement().items())},
            "notices": [asdict(n) for n in self.notices],
            "waivers": [{**asdict(w), "expired": w.expires < self.today} for w in self.waivers],
        }


def _lines(outcome: Outcome, width: int, *, evidence: bool) -> Iterator[str]:
    promise, verdict = outcome.promise, outcome.verdict
    word = verdict.upper() if verdict is Verdict.BROKEN else verdict.value
    head = f"{promise.code:<{width}}  {word:<8}  {promise.text}"
    if verdict is Verdict.UNPROVEN:
        head = f"{head} - {outcome.reason}" if outcome.reason else head
    yield head
    shown = outcome.findings if evidence else outcome.telling[:_SHOWN]
    if verdict is not Verdict.KEPT or evidence:
        for finding in shown:
            yield from _attempt(finding)
    left = 0 if evidence or verdict is Verdict.KEPT else len(outcome.telling) - len(shown)
    if left:
        yield f"{_INDENT}and {left} more like it (--evidence)"
    if outcome.hint:
        yield f"{_INDENT}hint: {outcome.hint}"


def _attempt(finding: Finding) -> Iterator[str]:
    if finding.evidence is None:
        return
    shown = finding.evidence
    yield f"{_INDENT}{shown.tried}"
    expected = f"; expected {finding.reason}" if finding.verdict is Verdict.BROKEN else ""
    yield f"{_INDENT}-> {shown.answer}{expected} ({shown.seconds:.3f} s)"


def _told(outcome: Outcome) -> dict[str, object]:
    return {
        "code": outcome.promise.code,
        "promise": outcome.promise.text,
        "requirements": list(outcome.promise.requirements),
        "capability": outcome.promise.capability.value,
        "verdict": outcome.verdict.value,
        "could_try": outcome.could_try,
        "reason": outcome.reason,
        "hint": outcome.hint,
        "seconds": outcome.seconds,
        "attempts": [_told_attempt(f) for f in outcome.findings],
    }


def _told_attempt(finding: Finding) -> dict[str, object]:
    told: dict[str, object] = {"verdict": finding.verdict.value, "reason": finding.reason}
    if finding.hint:
        told["hint"] = finding.hint
    if finding.evidence is not None:
        told |= asdict(finding.evidence)
    return told
