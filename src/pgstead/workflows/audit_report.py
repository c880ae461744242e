"""An audit: every security check that promises try, tried live, and told by its question."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pgstead.catalog.controls import CONTROLS, REQUIREMENTS
from pgstead.catalog.security_checks import CHECKS, SecurityCheck
from pgstead.model.audit_report import Answered, AuditReport, Checked, Tried, worst
from pgstead.ports import Ports
from pgstead.prove.finding import Verdict
from pgstead.prove.promise import Outcome
from pgstead.prove.report import Report


def codes() -> tuple[str, ...]:
    """Return the promises that the checks rest on."""
    return tuple(dict.fromkeys(code for check in CHECKS for code in check.promises))


def made(prove: Callable[[tuple[str, ...]], Report], ports: Ports) -> AuditReport:
    """Try all of it, and return what an auditor is handed."""
    report = prove(codes())
    checks = tuple(_checked(check, report) for check in CHECKS)
    head = ports.audit.trail.head() if ports.audit is not None else None
    return AuditReport(
        stead=report.stead,
        environment=report.environment,
        began=report.began,
        seconds=report.seconds,
        versions=report.versions,
        checks=checks,
        waivers=tuple(f"{w.what} until {w.expires}: {w.reason}" for w in report.waivers),
        notices=tuple(n.text for n in report.notices),
        trail=f"{head.seq}:{head.hash}" if head is not None and head.seq else "",
        controls=tuple(
            _answered(c.number, c.about, c.left, [k for k in checks if c.number in k.controls])
            for c in CONTROLS
        ),
        requirements=tuple(
            _answered(r.name, r.says, "", [k for k in checks if r.name in k.sources])
            for r in REQUIREMENTS
        ),
    )


def _answered(name: str, about: str, left: str, checks: Sequence[Checked]) -> Answered:
    numbers = tuple(c.number for c in checks)
    return Answered(name, about, left, numbers, worst(c.verdict for c in checks))


def _checked(check: SecurityCheck, report: Report) -> Checked:
    outcomes = [o for code in check.promises if (o := report.outcome(code)) is not None]
    # a question that nobody tries is open, whatever else is well
    verdict = worst(o.verdict.value for o in outcomes) or Verdict.UNPROVEN.value
    return Checked(
        check.number, check.asks, verdict, check.controls, check.sources, check.gap,
        tuple(map(_tried, outcomes)),
    )  # fmt: skip


def _tried(outcome: Outcome) -> Tried:
    evidence = next((f.evidence for f in outcome.telling if f.evidence is not None), None)
    shown = f"{evidence.tried} -> {evidence.answer}" if evidence is not None else ""
    return Tried(
        outcome.promise.code, outcome.promise.text, outcome.verdict.value,
        len(outcome.findings), shown, outcome.reason, outcome.could_try,
    )  # fmt: skip
