"""What upkeep decides on what it finds."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pgstead.model.upkeep import (
    ChoreRun,
    Correlation,
    Found,
    Index,
    Outcome,
    Table,
    UpkeepPlan,
    UpkeepRun,
    UpkeepWork,
    Work,
    unsettled,
)
from pgstead.plan import upkeep

NOW = datetime(2026, 11, 22, 0, 30, tzinfo=UTC)
MB = 1024.0**2
PLAN = UpkeepPlan(
    schedule="30 0 * * *", window=3600, file="", role="pgstead_upkeep", role_rights="pg_maintain",
    lock_timeout=2, sessions=8, latency=0.25, yields_after=1, cost_delay=0.002, cost_limit=200,
    dead=0.1, changed=0.1, bloat=0.4, smallest=int(8 * MB), freeze_age=0.6,
    reset_age=90 * 86_400.0, room=0.05,
)  # fmt: skip
TABLE = Table(
    "public", "orders", "shop_owner", 100 * MB, 1e6, 1e6, 0, 0, NOW, NOW, 1000, 0, 0.0,
)  # fmt: skip
INDEX = Index(
    "public", "orders_pkey", "orders", "shop_owner", 20 * MB, 0.0, "estimated", True, False
)
FOUND = Found("shop", (TABLE,), (INDEX,), 200e6, 400e6)


def decided(*history: ChoreRun, **changed: Any) -> UpkeepWork:
    return upkeep.decide(PLAN, [replace(FOUND, **changed)], history, NOW)


def works(work: UpkeepWork) -> list[Work]:
    return [c.work for c in work.chores]


def ran(work: Work, name: str, outcome: Outcome, **changed: Any) -> ChoreRun:
    begun = NOW - timedelta(days=1)
    given = ChoreRun(
        1, 1, work, "shop", "public", name, "orders", "", "estimated", begun,
        begun + timedelta(seconds=10), outcome,
    )  # fmt: skip
    return replace(given, **changed)


def test_nothing_is_due_of_what_is_fit() -> None:
    assert decided().chores == ()


@pytest.mark.parametrize(
    ("changed", "wanted"),
    [
        ({"dead": 200_000.0}, [Work.VACUUM]),
        ({"dead": 900.0, "live": 1000.0}, []),
        ({"changed": 200_000.0}, [Work.ANALYZE]),
        ({"changed": 50_000.0}, []),
        ({"analyzed": None}, [Work.ANALYZE]),
        ({"analyzed": None, "live": 3.0}, []),
        ({"analyzed": None, "catalog": True}, []),
        ({"dead": 200_000.0, "changed": 200_000.0}, [Work.VACUUM]),
        ({"xid_age": 121e6}, [Work.FREEZE]),
        ({"mxid_age": 241e6, "dead": 200_000.0}, [Work.FREEZE]),
        ({"xid_age": 119e6}, []),
    ],
)
def test_tables_get_what_their_statistics_ask_for(
    changed: dict[str, Any], wanted: list[Work]
) -> None:
    assert works(decided(tables=(replace(TABLE, **changed),))) == wanted


def test_only_what_the_server_would_force_waits_for_nobody() -> None:
    for age, urgent in ((121e6, False), (200e6, True)):
        (chore,) = decided(tables=(replace(TABLE, xid_age=age),)).chores
        assert chore.urgent is urgent


@pytest.mark.parametrize(
    ("changed", "wanted"),
    [
        ({"wasted": 9 * MB}, [Work.REINDEX]),
        ({"wasted": 7 * MB}, []),
        ({"wasted": 9 * MB, "bytes": 200 * MB}, []),
        ({"wasted": None}, []),
        ({"valid": False}, [Work.REBUILD]),
        ({"valid": False, "building": True}, []),
        ({"valid": False, "name": "orders_pkey_ccnew"}, [Work.DROP]),
        ({"valid": False, "name": "orders_pkey_ccold12"}, [Work.DROP]),
        ({"name": "orders_ccnew"}, []),
    ],
)
def test_indexes_are_made_anew_dropped_or_left_alone(
    changed: dict[str, Any], wanted: list[Work]
) -> None:
    assert works(decided(indexes=(replace(INDEX, **changed),))) == wanted


def test_what_was_begun_and_not_done_comes_before_the_rest() -> None:
    thin = replace(INDEX, wasted=9 * MB)
    dead = replace(TABLE, dead=200_000.0)
    assert works(decided(tables=(dead,), indexes=(thin,))) == [Work.VACUUM, Work.REINDEX]
    before = ran(Work.REINDEX, "orders_pkey", Outcome.KILLED)
    work = decided(before, tables=(dead,), indexes=(thin,))
    assert works(work) == [Work.REINDEX, Work.VACUUM]
    assert work.chores[0].again == "killed at 2026-11-21 00:30"


def test_an_index_that_became_no_smaller_is_left_alone_until_it_grows() -> None:
    before = ran(
        Work.REINDEX,
        "orders_pkey",
        Outcome.DONE,
        before={"bytes": 20 * MB},
        after={"bytes": 20 * MB},
    )
    thin = replace(INDEX, wasted=9 * MB)
    work = decided(before, indexes=(thin,))
    assert work.chores == ()
    assert "no smaller" in work.advice[0].why
    grown = replace(INDEX, bytes=30 * MB, wasted=15 * MB)
    assert works(decided(before, indexes=(grown,))) == [Work.REINDEX]


def test_how_long_it_takes_is_told_by_what_it_took() -> None:
    dead = (replace(TABLE, dead=200_000.0),)
    (guessed,) = decided(tables=dead).chores
    before = ran(Work.VACUUM, "other", Outcome.DONE, before={"bytes": 10 * MB})
    (known,) = decided(before, tables=dead).chores
    assert guessed.seconds == pytest.approx(100 / 16)
    assert known.seconds == pytest.approx(100.0)


def test_tables_are_reorganized_by_the_server_or_by_people() -> None:
    thin = (replace(TABLE, wasted=60 * MB),)
    work = decided(tables=thin)
    assert work.chores == ()
    assert upkeep.GUIDE in work.advice[0].do
    assert works(decided(tables=thin, extensions={"pg_squeeze": "squeeze"})) == [Work.REORGANIZE]
    assert "pg_repack" in decided(tables=thin, extensions={"pg_repack": "repack"}).advice[0].do


def test_statements_are_counted_anew_once_for_all_databases() -> None:
    old = replace(
        FOUND, extensions={"pg_stat_statements": "public"}, reset_at=NOW - timedelta(days=91)
    )
    assert works(upkeep.decide(PLAN, [old, replace(old, database="b")], (), NOW)) == [Work.RESET]
    young = replace(old, reset_at=NOW - timedelta(days=89))
    assert upkeep.decide(PLAN, [young], (), NOW).chores == ()


def test_columns_that_tell_of_each_other_get_statistics_by_people() -> None:
    pair = Correlation("public", "orders", ("city", 'zip"code'), (100, 900), 900, 20_000)
    (advice,) = decided(correlated=(pair,)).advice
    assert advice.do.startswith('CREATE STATISTICS ON "city", "zip""code" FROM "public"."orders"')


def test_a_failure_counts_until_it_is_done_or_no_longer_due() -> None:
    failed = ran(Work.REBUILD, "i", Outcome.FAILED, run=1)
    runs = [UpkeepRun(1, "t", NOW, NOW, Outcome.FAILED, 1)]
    assert unsettled([failed], runs) == (failed,)
    part = UpkeepRun(2, "t", NOW, NOW, Outcome.DONE, 0, whole=False)
    killed = UpkeepRun(3, "t", NOW, NOW, Outcome.KILLED, 0)
    assert unsettled([failed], [killed, part, *runs]) == (failed,)
    whole = UpkeepRun(4, "t", NOW, NOW, Outcome.DONE, 0)
    assert unsettled([failed], [whole, *runs]) == ()
    done = replace(failed, run=1, outcome=Outcome.DONE)
    assert unsettled([done, failed], runs) == ()
