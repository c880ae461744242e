"""An audit: every security check that promises try, tried live, and told by its question."""

from __future__ import annotations

from collections.abc import Callable

from pgstead.catalog.security_checks import CHECKS, SecurityCheck
from pgstead.model.audit_report import AuditReport, Checked, Tried
from pgstead.ports import Ports
from pgstead.prove.finding import Verdict
from pgstead.prove.promise import Outcome
from pgstead.prove.report import Report

_ORDER = (Verdict.KEPT, Verdict.UNPROVEN, Verdict.BROKEN)


def codes() -> tuple[str, ...]:
    """Return the promises that the checks rest on."""
    return tuple(dict.fromkeys(code for check in CHECKS for code in check.promises))


def made(prove: Callable[[tuple[str, ...]], Report], ports: Ports) -> AuditReport:
    """Try all of it, and return what an auditor is handed."""
    report = prove(codes())
    head = ports.audit.trail.head() if ports.audit is not None else None
    return AuditReport(
        stead=report.stead,
        environment=report.environment,
        began=report.began,
        seconds=report.seconds,
        versions=report.versions,
        checks=tuple(_checked(check, report) for check in CHECKS),
        waivers=tuple(f"{w.what} until {w.expires}: {w.reason}" for w in report.waivers),
        notices=tuple(n.text for n in report.notices),
        trail=f"{head.seq}:{head.hash}" if head is not None and head.seq else "",
    )


def _checked(check: SecurityCheck, report: Report) -> Checked:
    outcomes = [o for code in check.promises if (o := report.outcome(code)) is not None]
    # a question that nobody tries is open, whatever else is well
    worst = max((o.verdict for o in outcomes), key=_ORDER.index, default=Verdict.UNPROVEN)
    return Checked(
        check.number, check.asks, worst.value, check.controls, check.sources, check.gap,
        tuple(map(_tried, outcomes)),
    )  # fmt: skip


def _tried(outcome: Outcome) -> Tried:
    evidence = next((f.evidence for f in outcome.telling if f.evidence is not None), None)
    shown = f"{evidence.tried} -> {evidence.answer}" if evidence is not None else ""
    return Tried(
        outcome.promise.code, outcome.promise.text, outcome.verdict.value,
        len(outcome.findings), shown, outcome.reason,
    )  # fmt: skip
