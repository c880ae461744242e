"""Findings become a verdict, verdicts a report, a report an exit status."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, cast

import pytest

from pgstead.errors import ExitStatus, SteadError
from pgstead.model.address import Capability
from pgstead.model.design import Notice, Waiver
from pgstead.prove.canary import HIDDEN, Canary
from pgstead.prove.finding import Answer, CannotTryError, Finding, Verdict, shortened
from pgstead.prove.promise import Body, Outcome, Promise, judged, promise
from pgstead.prove.report import Report
from pgstead.prove.run import scrubbed, tried
from pgstead.prove.witness import Witness

NOBODY = cast("Witness", None)


def make(body: Body, **given: Any) -> Promise:
    """Make a promise of a body."""
    told: dict[str, Any] = {"requirement": "TLS-1", "capability": Capability.TLS, **given}
    return promise("TLS-999", "a sentence", **told)(body)


def seen(answer: str = "yes") -> Answer[str]:
    """Return an answer as an attempt gives it."""
    return Answer("SELECT 1", answer, answer, 0.001, "2026-11-21T12:00:00.000+00:00")


def outcome(*findings: Finding) -> Outcome:
    """Judge findings."""
    return judged(make(lambda _w: ()), findings, 0.1)


def report(*outcomes: Outcome, **given: Any) -> Report:
    """Make a report of outcomes."""
    return Report("s", "id", "test", "now", 1.0, {}, {}, outcomes, **given)


KEPT = seen().kept()
BROKEN = seen("3").broken("0", hint="do this")
OPEN = Finding(Verdict.UNPROVEN, reason="nothing answered")
IMPOSSIBLE = Finding(Verdict.UNPROVEN, reason="no such thing here", could_try=False)


def test_one_broken_finding_breaks_a_promise() -> None:
    assert outcome(KEPT, OPEN, BROKEN, KEPT).verdict is Verdict.BROKEN


def test_one_unproven_finding_leaves_a_promise_open() -> None:
    assert outcome(KEPT, OPEN, KEPT).verdict is Verdict.UNPROVEN


def test_a_promise_that_tried_nothing_is_unproven_and_never_kept() -> None:
    judged_one = outcome()
    assert (judged_one.verdict, judged_one.could_try) == (Verdict.UNPROVEN, False)


@pytest.mark.parametrize(
    ("findings", "status"),
    [
        ([KEPT], ExitStatus.DONE),
        ([KEPT, IMPOSSIBLE], ExitStatus.DONE),
        ([KEPT, OPEN], ExitStatus.UNPROVEN),
        ([KEPT, OPEN, BROKEN], ExitStatus.FAILED),
        ([], ExitStatus.DONE),
    ],
)
def test_the_exit_status_tells_broken_from_unproven(
    findings: list[Finding], status: ExitStatus
) -> None:
    assert report(*(outcome(f) for f in findings)).exit_status == status


@pytest.mark.parametrize(
    "error",
    [
        CannotTryError("the door is closed"),
        SteadError("the server is down"),
        ValueError("a fault of ours"),
        AssertionError(),
    ],
)
def test_an_attempt_that_fails_proves_nothing(error: Exception) -> None:
    def body(_w: Witness) -> Iterator[Finding]:
        yield KEPT
        raise error

    result = tried(make(body), NOBODY)
    assert (result.verdict, result.could_try) == (Verdict.UNPROVEN, True)


def test_what_was_broken_before_an_attempt_failed_stays_broken() -> None:
    def body(_w: Witness) -> Iterator[Finding]:
        yield BROKEN
        raise CannotTryError("later")

    assert tried(make(body), NOBODY).verdict is Verdict.BROKEN


def test_an_attempt_without_end_is_given_up_and_unproven() -> None:
    from threading import Event

    def body(_w: Witness) -> Iterator[Finding]:
        yield KEPT
        Event().wait(5)

    result = tried(make(body, limit=0.05), NOBODY)
    assert result.verdict is Verdict.UNPROVEN
    assert "given up after 0.05 s" in result.reason


def test_a_disruptive_promise_is_not_tried_unless_asked_for() -> None:
    def body(_w: Witness) -> Iterator[Finding]:
        yield KEPT

    quiet = make(body, disruptive=True)
    assert (tried(quiet, NOBODY).verdict, tried(quiet, NOBODY).could_try) == (
        Verdict.UNPROVEN,
        False,
    )
    assert tried(quiet, NOBODY, disruptive=True).verdict is Verdict.KEPT


def test_a_promise_that_takes_long_is_tried_only_when_its_code_is_named() -> None:
    def body(_w: Witness) -> Iterator[Finding]:
        yield KEPT

    long = make(body, long=True)
    assert long.named(("tls", long.code.lower()))
    assert not long.named(("tls", "TLS-1"))
    untried = tried(long, NOBODY)
    assert (untried.verdict, untried.could_try) == (Verdict.UNPROVEN, False)
    assert long.code in untried.reason
    assert tried(long, NOBODY, named=True).verdict is Verdict.KEPT


def test_no_secret_leaves_with_a_report_whoever_quoted_it() -> None:
    canary = Canary((("app", "hunter2-hunter2"),))
    leaky = Answer("PGPASSWORD=hunter2-hunter2", "got hunter2-hunter2", 0, 0.0, "now").broken(
        "not hunter2-hunter2", hint="hunter2-hunter2"
    )
    told = json.dumps(report(scrubbed(outcome(leaky), canary)).as_dict())
    assert "hunter2" not in told
    assert told.count(HIDDEN) >= 4
    assert "hunter2" not in repr(canary)


def test_a_secret_is_found_across_the_parts_in_which_a_big_file_is_read(tmp_path: Any) -> None:
    file = tmp_path / "log"
    file.write_bytes(b"x" * ((1 << 20) - 4) + b"hunter2-hunter2" + b"y" * 10)
    canary = Canary((("app", "hunter2-hunter2"), ("other", "never-there")))
    assert canary.found_in_file(file) == ("app",)


def test_the_text_shows_what_broke_with_its_evidence_and_a_hint() -> None:
    text = report(outcome(BROKEN)).text()
    assert text.splitlines()[:4] == [
        "TLS-999  BROKEN    a sentence",
        "                   SELECT 1",
        "                   -> 3; expected 0 (0.001 s)",
        "                   hint: do this",
    ]
    assert "0 kept, 1 broken, 0 unproven" in text
    assert text.rstrip().endswith("exit 1")


def test_what_was_kept_takes_one_line_unless_evidence_is_asked_for() -> None:
    one = report(outcome(KEPT))
    assert len(one.text().splitlines()) == 2
    assert "SELECT 1" in one.text(evidence=True)


def test_waivers_and_notices_show_in_every_report() -> None:
    told = report(
        outcome(KEPT),
        waivers=(Waiver("pooler", "no other at hand", "2026-01-01"),),
        notices=(Notice("gap", "an old pooler"),),
        today="2026-11-21",
    )
    assert "waived: pooler EXPIRED 2026-01-01: no other at hand" in told.text()
    assert "note: an old pooler" in told.text()
    assert cast("list[Any]", told.as_dict()["waivers"])[0]["expired"] is True


def test_a_requirement_is_as_good_as_its_worst_promise() -> None:
    assert report(outcome(KEPT), outcome(BROKEN), outcome(OPEN)).by_requirement() == {
        "TLS-1": Verdict.BROKEN
    }


def test_a_long_answer_is_cut_to_one_line() -> None:
    assert shortened("a\n  b\tc") == "a b c"
    assert len(shortened("x" * 10_000)) == 400


@pytest.mark.parametrize("code", ["TLS-1", "tls-001", "TLSX-001", ""])
def test_a_promise_needs_a_proper_code(code: str) -> None:
    with pytest.raises(AssertionError):
        promise(code, "text", requirement="TLS-1", capability=Capability.TLS)


@pytest.mark.parametrize("requirement", ["", "TLS", "TLS-1,TLS-2"])
def test_a_promise_needs_a_requirement(requirement: str) -> None:
    with pytest.raises(AssertionError):
        promise("TLS-001", "text", requirement=requirement, capability=Capability.TLS)
