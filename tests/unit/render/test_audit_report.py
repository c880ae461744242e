"""The report of an audit: whole questions, escaped, the worst verdict first."""

from __future__ import annotations

from html.parser import HTMLParser

from pgstead.catalog.controls import CONTROLS, REQUIREMENTS
from pgstead.catalog.security_checks import CHECKS
from pgstead.model.audit_report import Answered, AuditReport, Checked, Tried, worst
from pgstead.prove.registry import promises
from pgstead.render.audit_report import page
from pgstead.workflows.audit_report import codes


def report(*verdicts: str) -> AuditReport:
    """Return a report with a question for each verdict, all of one control."""
    tried = Tried("AUD-001", "<script>alert(1)</script>", "broken", 2, "a\x00b -> <b>", "")
    checks = tuple(
        Checked(n, "is it?", verdict, ("4.3", "4.10"), (), "", (tried,))
        for n, verdict in enumerate(verdicts, 1)
    )
    left = Answered("1.2", "only what is needed", "the machine's <own>", (), "")
    return AuditReport(
        "shop & co", "production", "2026-11-22", 3.0, {"server": "18.6"}, checks, (), (), "",
        (Answered("4.3", "rights", "", (1, 2), worst(verdicts)), left),
        (Answered("SEC-002", "least privilege", "", (1,), verdicts[0]),),
    )  # fmt: skip


def test_every_check_names_promises_that_exist() -> None:
    assert set(codes()) <= {p.code for p in promises()}


def test_a_check_that_nothing_tries_says_what_is_missing() -> None:
    assert [c.number for c in CHECKS if not c.promises and not c.gap] == []


def test_there_are_at_least_the_checks_of_the_catalogue_each_once() -> None:
    numbers = [c.number for c in CHECKS]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) >= 48


def test_each_control_is_asked_for_by_a_check_or_says_why_by_none() -> None:
    named = {control for check in CHECKS for control in check.controls}
    assert named <= {c.number for c in CONTROLS}
    assert [c.number for c in CONTROLS if (c.number in named) == bool(c.left)] == []


def test_each_requirement_of_the_specifications_is_asked_for_and_no_other() -> None:
    named = {source for check in CHECKS for source in check.sources}
    assert named == {r.name for r in REQUIREMENTS} == {"SEC-001", "SEC-002", "SEC-003"}


def test_a_control_is_as_well_as_the_worst_question_about_it() -> None:
    assert worst(("kept", "broken", "unproven")) == "broken"
    assert worst(("kept", "unproven")) == "unproven"
    assert worst(()) == ""
    assert report("kept", "broken", "unproven").counts == {"kept": 1, "broken": 1, "unproven": 1}


def test_what_is_open_stands_first_with_its_reason_and_the_broken_before_the_unproven() -> None:
    made = report("kept", "unproven", "broken")
    assert [c.number for c in made.open_ones] == [3, 2]
    text = page(made)
    assert text.index('id="open3"') < text.index('id="open2"') < text.index('id="q1"')
    assert 'id="open1"' not in text
    assert "the machine&#x27;s &lt;own&gt;" in text
    assert "nothing</p>" in page(report("kept"))


def test_what_comes_from_a_server_is_shown_as_text() -> None:
    text = page(report("broken"))
    assert "<script>" not in text
    assert "&lt;script&gt;" in text
    assert "\x00" not in text
    open_tags: list[str] = []

    class Balanced(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            if tag not in {"meta", "br"}:
                open_tags.append(tag)

        def handle_endtag(self, tag: str) -> None:
            assert open_tags.pop() == tag

    Balanced().feed(text)
    assert open_tags == []
