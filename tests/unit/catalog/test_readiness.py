"""The checklist for production names promises that there are, and the guide is this list."""

from __future__ import annotations

from pgstead.catalog import readiness
from pgstead.prove.checklist import lines, ticks
from pgstead.prove.registry import promises
from pgstead.prove.report import Report
from tests.fix_stead import CHECKOUT


def test_every_point_names_promises_that_there_are() -> None:
    known = {promise.code for promise in promises()}
    assert sorted(set(readiness.codes()) - known) == []


def test_the_production_guide_has_the_list() -> None:
    guide = (CHECKOUT / "docs/how-to/go-to-production.md").read_text()
    assert readiness.markdown() in guide


def test_what_was_not_tried_is_open_and_what_is_by_hand_is_asked_for() -> None:
    report = Report("shop", "id", "production", "2026-11-22T08:00:00Z", 0.0, {}, {}, ())
    assert {tick.state for tick in ticks(report)} == {"unproven", "by hand"}
    assert any(line.startswith("  [?] ") for line in lines(report))
