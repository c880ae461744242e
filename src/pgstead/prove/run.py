"""Trying promises, one after the other, each within its time."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date

from pgstead.errors import SteadError
from pgstead.model.design import Design
from pgstead.prove import machine, registry
from pgstead.prove.access import Access
from pgstead.prove.canary import Canary
from pgstead.prove.finding import CannotTryError, Evidence, Finding, Stopwatch, Verdict, now, timed
from pgstead.prove.promise import Outcome, Promise, judged
from pgstead.prove.report import Report
from pgstead.prove.witness import Witness


def run(
    design: Design,
    access: Access,
    select: tuple[str, ...] = (),
    *,
    disruptive: bool = False,
) -> Report:
    """Try the selected promises (all, where nothing is selected) and report.

    Raises UsageError for a selection that chooses nothing; whatever else goes wrong leaves a
    promise unproven.
    """
    chosen = registry.selected(select)
    witness = Witness(design, access)
    canary = Canary.of(access.ports.secrets)
    began = now()
    with timed() as watch:
        outcomes = tuple(
            scrubbed(tried(p, witness, disruptive=disruptive, named=p.named(select)), canary)
            for p in chosen
        )
    return Report(
        stead=design.name,
        stead_id=design.stead_id,
        environment=design.environment.value,
        began=began,
        seconds=round(watch.seconds, 3),
        versions=machine.versions(design),
        machine=machine.facts(design),
        outcomes=outcomes,
        notices=design.notices,
        waivers=design.waivers,
        today=date.today().isoformat(),  # noqa: DTZ011  waivers expire by the signer's calendar
    )


@dataclass(slots=True)
class _Trial:
    """What a trial found so far; its thread may still run when the time is up."""

    findings: list[Finding]
    ended: bool = False


def tried(
    promise: Promise, witness: Witness, *, disruptive: bool = False, named: bool = False
) -> Outcome:
    """Try one promise. Nothing that goes wrong in trying counts as kept."""
    if promise.long and not named:
        return _untried(promise, f"it takes long; `pgstead prove {promise.code}` tries it")
    if promise.disruptive and not disruptive:
        return _untried(promise, "it interrupts service; `--disruptive` tries it")
    for need in promise.needs:
        missing = witness.lacks(need)
        if missing:
            return _untried(promise, missing)
    trial = _Trial([])
    with timed() as watch:
        thread = threading.Thread(target=_attempt, args=(promise, witness, trial), daemon=True)
        thread.start()
        thread.join(promise.limit)
    findings = list(trial.findings)
    if not trial.ended:
        findings.append(_given_up(promise, watch))
    return judged(promise, tuple(findings), round(watch.seconds, 4))


def _attempt(promise: Promise, witness: Witness, trial: _Trial) -> None:
    try:
        _collect(promise.body(witness), trial)
    except CannotTryError as error:
        trial.findings.append(error.finding())
    except SteadError as error:
        trial.findings.append(Finding(Verdict.UNPROVEN, reason=error.message, hint=error.hint))
    except Exception as error:  # noqa: BLE001  a fault of the prover proves nothing either way
        reason = f"the attempt itself failed: {type(error).__name__}: {error}"
        trial.findings.append(Finding(Verdict.UNPROVEN, reason=reason))
    trial.ended = True


def _collect(findings: Iterable[Finding], trial: _Trial) -> None:
    for finding in findings:
        trial.findings.append(finding)


def _untried(promise: Promise, reason: str) -> Outcome:
    finding = Finding(Verdict.UNPROVEN, reason=reason, could_try=False)
    return Outcome(promise, Verdict.UNPROVEN, (finding,), 0.0, could_try=False)


def _given_up(promise: Promise, watch: Stopwatch) -> Finding:
    reason = f"given up after {promise.limit:g} s"
    evidence = Evidence(promise.text, "no answer in time", round(watch.seconds, 3), watch.at)
    return Finding(Verdict.UNPROVEN, evidence, reason=reason)


def scrubbed(outcome: Outcome, canary: Canary) -> Outcome:
    """Return the outcome without any secret's value, whatever a server or driver quoted."""
    return replace(outcome, findings=tuple(_scrubbed(f, canary) for f in outcome.findings))


def _scrubbed(finding: Finding, canary: Canary) -> Finding:
    evidence = finding.evidence
    if evidence is not None:
        tried, answer = canary.hide(evidence.tried), canary.hide(evidence.answer)
        evidence = replace(evidence, tried=tried, answer=answer)
    reason, hint = canary.hide(finding.reason), canary.hide(finding.hint)
    return replace(finding, evidence=evidence, reason=reason, hint=hint)
