"""The revisions of the three systems pass, and what they ignore has a reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from pgstead.host.revisions import AlembicRevisions
from pgstead.host.squawk import Squawk
from pgstead.lint.finding import Level
from pgstead.lint.scene import Surroundings
from pgstead.workflows.lint import lint
from tests.unit.lint.corpus.written import ROLES

CHECKOUT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("system", ["jeex_idea", "ai_agents", "specgen"])
def test_the_revisions_of_a_system_pass_the_lint(system: str) -> None:
    revisions = AlembicRevisions(CHECKOUT).written(f"systems/{system}", ROLES)
    wanted = frozenset(r.name for r in revisions)
    report = lint(revisions, wanted, Surroundings(roles=ROLES), Squawk())
    assert report.revisions
    assert [f for f in report.findings if f.level is not Level.NOTE] == []
    assert all(len(ignored.reason.split()) >= 4 for ignored in report.ignored)
