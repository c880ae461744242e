"""A comment answers for a finding: with a reason, for a rule that exists, where something is."""

from __future__ import annotations

import pytest

from pgstead.lint.finding import Level
from pgstead.lint.source import read
from tests.unit.lint.scripts import judged, rules

DROP = "ALTER TABLE account DROP COLUMN note"
SOURCE = """\
def upgrade():
    {above}
    for table in ("account",):
        drop(table)  {behind}


def downgrade():
    undo()
"""


def source(above: str = "first()", behind: str = "") -> str:
    return SOURCE.format(above=above, behind=behind)


@pytest.mark.parametrize(
    "text",
    [
        source(above="# pgstead: ignore[drop-column] no release maps it any more"),
        source(behind="# pgstead: ignore[drop-column] no release maps it any more"),
        source(behind="# pgstead:ignore[ drop-column , drop-table ] no release maps it any more"),
        "# pgstead: ignore[drop-column] no release maps it\n"
        + source()[:-1].replace("\n\n\n", "\n"),
    ],
    ids=["above a loop", "behind the call", "two rules", "above the function"],
)
def test_a_finding_with_a_reason_is_set_apart(text: str) -> None:
    line = 1 + text[: text.index("drop(table)")].count("\n")
    report = judged(DROP, source=text, line=line)
    assert "drop-column" not in rules(report.findings)
    (ignored,) = report.ignored
    assert ignored.finding.rule == "drop-column"
    assert ignored.reason.startswith("no release maps it")


def test_a_comment_elsewhere_answers_for_nothing() -> None:
    text = source() + "    # pgstead: ignore[drop-column] of the way back\n"
    report = judged(DROP, source=text, line=4)
    assert {"drop-column", "ignore-unused"} <= rules(report.findings)
    assert report.ignored == ()


def test_a_finding_without_a_reason_cannot_be_ignored() -> None:
    report = judged(DROP, source=source(behind="# pgstead: ignore[drop-column]"), line=4)
    found = {f.rule: f for f in report.findings}
    assert found["ignore-without-reason"].level is Level.ERROR
    assert "drop-column" in found
    assert not report.clean


def test_a_misspelt_rule_is_found_with_the_one_that_was_meant() -> None:
    report = judged(DROP, source=source(behind="# pgstead: ignore[drop-colum] why not"), line=4)
    found = {f.rule: f for f in report.findings}
    assert "did you mean 'drop-column'" in found["ignore-of-unknown-rule"].message
    assert "drop-column" in found


def test_a_comment_that_answers_for_nothing_is_told() -> None:
    report = judged("SELECT 1", source=source(behind="# pgstead: ignore[truncate] empty"), line=4)
    assert rules(report.findings) == {"ignore-unused"}
    assert report.clean


def test_a_rule_of_squawk_is_not_called_unused_when_squawk_did_not_run() -> None:
    comment = "# pgstead: ignore[squawk:prefer-timestamp-tz] legacy"
    report = judged("SELECT 1", source=source(behind=comment), line=4)
    assert rules(report.findings) == set()


def test_a_comment_inside_of_a_text_is_no_comment() -> None:
    assert read('x = "# pgstead: ignore[truncate] no"\n').ignores == ()
