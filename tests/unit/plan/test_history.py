"""Histories that disagree, with themselves or with a database."""

from __future__ import annotations

from datetime import UTC, datetime

from pgstead.model.history import Applied, Remembered, RevisionFile, digest
from pgstead.plan import history


def file(name: str, *parents: str, source: str = "x = 1\n") -> RevisionFile:
    return RevisionFile(f"versions/{name}.py", name, parents, name, source)


def line(revision: str, direction: str = "up", source: str = "x = 1\n") -> Applied:
    at = datetime(2026, 11, 21, tzinfo=UTC)
    return Applied(
        revision, direction, at, 0.1, 1, "migrator", "ann@desk", None, digest(source), source
    )


def kinds(files: list[RevisionFile], found: Remembered | None = None) -> list[str]:
    told = [*history.problems(files, "shop")]
    if found is not None:
        told += history.disagreements(files, found, "shop")
    assert all(problem.says and problem.way_out for problem in told)
    return [problem.kind for problem in told]


CHAIN = [file("a"), file("b", "a"), file("c", "b")]


def test_a_chain_and_a_database_that_is_on_it_agree() -> None:
    assert kinds(CHAIN, Remembered(("b",), (line("a"), line("b")))) == []
    assert history.applied(CHAIN, ("b",)) == {"a", "b"}
    assert [f.name for f in history.ordered([*reversed(CHAIN)])] == ["a", "b", "c"]


def test_a_merge_has_one_head_again() -> None:
    assert kinds([*CHAIN, file("d", "b")]) == ["two-heads"]
    assert kinds([*CHAIN, file("d", "b"), file("e", "c", "d")]) == []


def test_how_lines_end_is_no_edit() -> None:
    windows = [file("a", source="x = 1\r\n")]
    assert kinds(windows, Remembered(("a",), (line("a"),))) == []


def test_an_edit_is_told_for_what_is_applied_only() -> None:
    edited = [file("a", source="x = 2\n")]
    assert kinds(edited, Remembered(("a",), (line("a"),))) == ["edited"]
    assert kinds(edited, Remembered((), (line("a"), line("a", "down")))) == []
    # whoever reconciled it has seen the edit
    seen = (line("a"), line("a", "reconcile", "x = 2\n"))
    assert kinds(edited, Remembered(("a",), seen)) == []


def test_a_database_that_was_moved_by_hand_is_told() -> None:
    assert kinds(CHAIN, Remembered(("a",), (line("a"), line("b")))) == ["moved"]
    assert kinds(CHAIN, Remembered(("b",), (line("b"), line("b", "down")))) == ["moved"]


def test_before_there_was_a_ledger_nothing_is_held_against_a_database() -> None:
    assert kinds(CHAIN, Remembered(("c",))) == []


def test_what_hangs_on_a_loop_is_not_part_of_it() -> None:
    files = [file("a"), file("b", "c"), file("c", "b"), file("d", "c")]
    (problem,) = (p for p in history.problems(files, "shop") if p.kind == "loop")
    assert problem.says == "these come after each other: b, c"


def test_a_revision_that_is_half_done_says_how_to_go_on() -> None:
    found = Remembered(("a",), (line("a"),), {"b": ["CREATE INDEX"]})
    assert kinds([*CHAIN], found) == ["unfinished"]
