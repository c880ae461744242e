"""Every rule catches what it is for, and leaves its near miss alone."""

from __future__ import annotations

import pytest

from pgstead.lint.finding import Level
from pgstead.lint.registry import RULES, SUBJECTS
from pgstead.model.revision import RevisionScript
from tests.unit.lint.corpus.case import UNDONE
from tests.unit.lint.corpus.written import CASES, corpus, judged

# What the comments of a revision are about is tried in test_ignores.py.
OF_COMMENTS = {rule.name for s in SUBJECTS if s.name == "ignores" for rule in s.rules}
NUMBERED = [pytest.param(n, id=f"{n}-{case.rule}") for n, case in enumerate(CASES)]


@pytest.fixture(scope="module")
def revisions(tmp_path_factory: pytest.TempPathFactory) -> dict[str, RevisionScript]:
    """Give the corpus, written out by one run of Alembic."""
    return corpus(tmp_path_factory.mktemp("corpus"))


@pytest.mark.parametrize("number", NUMBERED)
def test_a_rule_catches_what_it_is_for(number: int, revisions: dict[str, RevisionScript]) -> None:
    found = judged(revisions, number, "caught").findings
    assert CASES[number].rule in {f.rule for f in found}


@pytest.mark.parametrize("number", NUMBERED)
def test_a_rule_leaves_its_near_miss_alone(
    number: int, revisions: dict[str, RevisionScript]
) -> None:
    case = CASES[number]
    found = judged(revisions, number, "near").findings
    graver = {f.rule for f in found if f.level is not Level.NOTE}
    # the way back of the corpus is written where a case is about it
    artefact = {"downgrade-leaves"} if case.near_down == UNDONE else set[str]()
    assert case.rule not in {f.rule for f in found}
    assert graver - case.near_has - artefact == set()


def test_every_rule_has_a_migration_that_it_catches() -> None:
    assert {case.rule for case in CASES} == RULES.keys() - OF_COMMENTS


def test_a_finding_says_where_what_breaks_and_what_is_safe(
    revisions: dict[str, RevisionScript],
) -> None:
    for number in range(len(CASES)):
        for finding in judged(revisions, number, "caught").findings:
            assert finding.line > 0, finding
            assert finding.message, finding
            assert finding.breaks, finding
            assert finding.safe, finding
            assert "<table>" not in finding.code, finding
