"""What counts as slower: beyond the spread of both runs, and beyond the machine."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest

from pgstead.model.bench import Bench, Change, Kind, Load, Measured, Round
from pgstead.plan.regressions import FLOOR, compare, confirmed, differences, machine_ratio, worse


def measured(
    what: str, medians: Sequence[float | None], *, kind: Kind = Kind.DATABASE, failed: int = 0,
    plan: str = "",
) -> Measured:  # fmt: skip
    rounds = tuple(Round(100, m, None if m is None else 2 * m) for m in medians)
    reasons = {"SQLSTATE 57014": failed} if failed else {}
    return Measured(what, kind, rounds, 100 * len(rounds), failed, reasons, None, None, 0.001, plan)


def run(*targets: Measured, floor: float = 0.001) -> Bench:
    own = measured(FLOOR, [floor * share for share in (0.99, 1, 1, 1, 1.01)], kind=Kind.FLOOR)
    load = Load(users=4, rate=50, rounds=5, seconds=1)
    return Bench("then", "1", {"cpus": "2"}, {"work_mem": "4MB"}, load, (own, *targets), 0.0)


STEADY = (0.0100, 0.0101, 0.0099, 0.0102, 0.0098)


@pytest.mark.parametrize("factor", [1.5, 2, 10])
def test_what_is_slower_beyond_the_spread_is_named(factor: float) -> None:
    then = run(measured("a", STEADY, plan="Index Scan"), measured("b", STEADY))
    slow = measured("a", [factor * v for v in STEADY], plan="Seq Scan")
    found = compare(then, run(slow, measured("b", STEADY)))
    (bad,) = worse(found)
    assert (bad.what, bad.change) == ("a", Change.SLOWER)
    assert bad.ratio == pytest.approx(factor)
    assert "now:  Seq Scan" in bad.explains


def test_what_is_within_the_spread_is_the_same() -> None:
    then = run(measured("a", (0.010, 0.020, 0.012, 0.018, 0.015)))
    now = run(measured("a", (0.019, 0.022, 0.013, 0.021, 0.018)))
    assert [c.change for c in compare(then, now)] == [Change.SAME]


def test_chance_alone_is_hardly_ever_called_slower() -> None:
    chance = random.Random(3)

    def rounds() -> list[float]:
        return [0.01 * chance.lognormvariate(0, 0.15) for _ in range(5)]

    found = 0
    for _ in range(1000):
        then = run(measured("a", rounds()))
        first, again = (compare(then, run(measured("a", rounds()))) for _ in range(2))
        found += bool(worse(confirmed(first, again)))
    assert found <= 10  # of 1000


def test_a_slower_machine_is_no_regression_but_more_than_that_is() -> None:
    then = run(measured("a", STEADY))
    slower = measured("a", [2 * v for v in STEADY])
    assert not worse(compare(then, run(slower, floor=0.002)))
    assert machine_ratio(then, run(slower, floor=0.002)) == pytest.approx(2)
    much = measured("a", [5 * v for v in STEADY])
    assert worse(compare(then, run(much, floor=0.002)))
    # and a faster machine hides nothing that got slower
    assert worse(compare(then, run(slower, floor=0.0005)))


def test_what_takes_microseconds_more_is_no_regression() -> None:
    then = run(measured("a", [v / 1000 for v in STEADY]))
    now = run(measured("a", [v / 500 for v in STEADY]))
    assert not worse(compare(then, now))


def test_only_what_is_slower_twice_is_slower() -> None:
    then = run(measured("a", STEADY))
    slow, same = (compare(then, run(measured("a", [f * v for v in STEADY]))) for f in (3, 1))
    assert not worse(confirmed(same, slow))
    assert not worse(confirmed(slow, same))
    assert worse(confirmed(slow, slow))


def test_failures_new_and_missing_targets_and_too_few_samples_are_told() -> None:
    then = run(measured("a", STEADY), measured("gone", STEADY), measured("few", [None] * 5))
    now = run(
        measured("a", STEADY, failed=50), measured("new", STEADY), measured("few", [None] * 5)
    )
    found = {c.what: c for c in compare(then, now)}
    assert {what: c.change for what, c in found.items()} == {
        "a": Change.FAILING,
        "gone": Change.GONE,
        "new": Change.NEW,
        "few": Change.UNKNOWN,
    }
    assert found["a"].explains == ("50 times: SQLSTATE 57014",)


def test_what_else_differs_is_told() -> None:
    then = run(measured("a", STEADY))
    now = replace(then, version="2", machine={"cpus": "4"}, settings={"work_mem": "1MB"})
    assert [*differences(then, now)] == [
        "pgstead 1 then, 2 now",
        "cpus: 2 then, 4 now",
        "setting work_mem: 4MB then, 1MB now",
    ]
