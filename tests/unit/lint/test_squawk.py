"""squawk's advice is kept where ours has none; ours decides where both look."""

from __future__ import annotations

import pytest

from pgstead.host.squawk import Squawk
from pgstead.lint.finding import Level, Report
from pgstead.lint.registry import RULES
from pgstead.lint.scene import Surroundings
from pgstead.lint.squawk import OURS
from pgstead.workflows.lint import lint
from tests.unit.lint.scripts import TABLE, script


def with_squawk(*texts: str) -> Report:
    revisions = (script("a", TABLE), script("b", *texts, down=("SELECT 1",)))
    return lint(revisions, frozenset({"b"}), Surroundings(), Squawk())


def test_its_advice_on_what_we_do_not_look_at_is_kept_with_the_line_of_the_revision() -> None:
    report = with_squawk("SELECT 1", "CREATE TABLE\n fresh (id bigint PRIMARY KEY,\n at timestamp)")
    (found,) = (f for f in report.findings if f.origin == "squawk")
    assert (found.rule, found.level) == ("squawk:prefer-timestamp-tz", Level.WARNING)
    assert found.line == 2
    assert found.statement.startswith("CREATE TABLE fresh")
    assert "timestamptz" in found.message + found.safe


def test_what_both_find_is_told_once() -> None:
    found = with_squawk("CREATE INDEX ix ON account (bar)").findings
    assert [f.origin for f in found if "index" in f.rule] == ["pgstead"]


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE account ADD COLUMN twice bigint GENERATED ALWAYS AS (bar * 2) VIRTUAL",
        "ALTER TABLE account ALTER COLUMN note TYPE varchar",
        "SELECT set_config('app.x', 'y', true)",
    ],
)
def test_its_false_alarms_are_not_told(statement: str) -> None:
    found = with_squawk(statement).findings
    assert [f.rule for f in found if f.level is not Level.NOTE and "downgrade" not in f.rule] == []


def test_every_rule_of_ours_that_stands_for_one_of_its_rules_exists() -> None:
    named = {ours for names in OURS.values() if names for ours in names}
    assert named - RULES.keys() == set()
