"""What a rehearsal means, of values alone."""

from __future__ import annotations

from dataclasses import replace

from pgstead.model.definition import Definition, Name
from pgstead.model.rehearsal import Contents, Held, Passed, Ran, Showed, Waited
from pgstead.plan.rehearsing import differences, lines, problems

LOCK = Held("item", "ACCESS EXCLUSIVE", 10.0, 2.0)
RAN = Ran("aa02", "up", "ALTER TABLE item ...", 10.0, 2.0, 1024, 2048, ("item",), (LOCK,))
SHOWED = Showed(
    database="shop",
    start=("aa01",),
    revisions=("aa02",),
    copied_bytes=5 * 1024**2,
    cloned=False,
    copy_seconds=0.5,
    seconds=9.0,
    passes=(
        Passed("up", 2.1, (RAN,), "", (Waited("reads of item", 9, 1.9, 1.9, {"42703": 2}),)),
        Passed("down", 2.0, ()),
        Passed("up", 2.0, ()),
    ),
    growth={},
    differences=(),
    lost=("3 value(s) of item.extra",),
    notes=("a note",),
)


def taking(lock: Held, **more: float) -> Showed:
    """Return what was seen of one lock."""
    first = replace(SHOWED.passes[0], statements=(replace(RAN, locks=(lock,)),))
    return replace(SHOWED, passes=(first, *SHOWED.passes[1:]), growth=more)


def test_a_lock_is_too_long_only_where_it_stops_somebody() -> None:
    assert problems(SHOWED, 5.0) == ()
    (problem,) = problems(SHOWED, 1.0)
    assert "nobody reads or writes item for 2.00 s" in problem
    (problem,) = problems(taking(replace(LOCK, mode="SHARE")), 1.0)
    assert "nobody writes item" in problem
    assert problems(taking(replace(LOCK, mode="SHARE UPDATE EXCLUSIVE")), 1.0) == ()
    assert problems(taking(replace(LOCK, rows=False)), 1.0) == ()


def test_a_table_that_has_grown_since_is_reckoned_with() -> None:
    assert problems(taking(LOCK, item=3.0), 5.0)
    assert SHOWED.predicted(LOCK) == 2.0
    assert taking(LOCK, item=3.0).predicted(LOCK) == 6.0


def test_what_fails_what_takes_too_long_and_what_differs_is_a_problem() -> None:
    up, down, again = SHOWED.passes
    failed = replace(SHOWED, passes=(replace(up, problem="no such table"),))
    assert problems(failed, 9.0) == ("it fails: no such table",)
    slow = replace(SHOWED, passes=(replace(up, seconds=301.0), down, again))
    assert "300 s are the limit" in problems(slow, 9.0)[0]
    stuck = replace(SHOWED, passes=(up, replace(down, problem="no")), irreversible="")
    assert problems(stuck, 9.0) == ("the way down fails: no",)
    # said by the revision itself: told, and no reason
    assert problems(replace(stuck, irreversible="no"), 9.0) == ()
    assert problems(replace(SHOWED, differences=("x differs",)), 9.0) == ("x differs",)


def test_schemas_and_rows_are_compared_as_far_as_both_have_them() -> None:
    table, version = Name("table", "public.item"), Name("table", "public.alembic_version")
    before = Definition({table: {"persistence": "p"}})
    after = Definition({table: {"persistence": "u"}, version: {}})
    rows = {"item": Contents(2, {"id": "1", "size": "5", "gone": "7"}), "old": Contents(1, {})}
    assert [*differences("then", (before, rows), (before, rows))] == []
    changed = {"item": Contents(2, {"id": "1", "size": "6", "new": "8"})}
    assert [*differences("then", (before, rows), (after, changed))] == [
        "then: table public.item is changed (persistence)",
        "then: item.size has other values than before",
    ]
    fewer = {"item": Contents(1, {"id": "2"})}
    assert [*differences("then", (before, rows), (before, fewer))] == [
        "then: item has 1 rows instead of 2"
    ]


def test_statements_that_stop_nobody_are_told_as_one() -> None:
    quick = Ran("aa02", "up", "COMMENT ON TABLE item IS '...'", 12.0, 0.01)
    first = replace(SHOWED.passes[0], statements=(RAN, quick, quick))
    told = "\n".join(lines(replace(SHOWED, passes=(first,)), ()))
    assert "COMMENT" not in told
    assert "2 more in 0.02 s, which locked no table that had rows" in told


def test_the_report_tells_what_was_seen_and_where_to_look_first() -> None:
    told = "\n".join(lines(SHOWED, problems(SHOWED, 5.0)))
    assert "shop: rehearsed aa02: went well" in told
    assert "ACCESS EXCLUSIVE on item for 2.00 s; item rewritten; WAL 1 kB; disk +2 kB" in told
    assert "reads of item: 9, waited 1.90 s at most (p99 1.900 s); failed: 2 with 42703" in told
    assert "a downgrade loses 3 value(s) of item.extra" in told
    assert "schema and rows are the same" in told
    told = "\n".join(lines(SHOWED, problems(SHOWED, 1.0)))
    assert "1 to look at first\n  look at: nobody reads or writes item" in told
