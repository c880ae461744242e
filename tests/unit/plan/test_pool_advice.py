"""Advice on the size of a pool, from what was observed of it (POL-7)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pgstead.model.advice import Answers, PoolUse
from pgstead.plan.advice import connections

BEGUN = datetime(2026, 1, 1, tzinfo=UTC)


def use(busy: list[float], waiting: list[float], hours: float = 48) -> PoolUse:
    return PoolUse(
        database="shop",
        size=20,
        busy=tuple(busy),
        waiting=tuple(waiting),
        longest=max(waiting),
        begun=BEGUN,
        ended=BEGUN + timedelta(hours=hours),
    )


def advice(found: PoolUse) -> tuple[list[str], list[str]]:
    told = connections.diagnose(Answers({}, (), BEGUN), (found,))
    return [f.rule for f in told.findings], [u.what for u in told.unseen]


@pytest.mark.parametrize(
    ("busy", "waiting", "hours", "wanted"),
    [
        ([20.0] * 60, [1.0] * 3 + [0.0] * 57, 1, ["pool-too-small"]),
        # a queue with servers to spare is another's fault: a limit, a login that is slow
        ([10.0] * 60, [1.0] * 60, 1, []),
        ([20.0] * 60, [0.0] * 60, 48, []),
        ([5.0] * 60, [0.0] * 60, 48, ["pool-too-large"]),
        # a quiet hour says nothing of the day
        ([5.0] * 60, [0.0] * 60, 2, []),
        ([5.0] * 59 + [6.0], [0.0] * 60, 48, []),
    ],
)
def test_a_pool_is_judged_by_its_queue_and_its_peak(
    busy: list[float], waiting: list[float], hours: float, wanted: list[str]
) -> None:
    assert advice(use(busy, waiting, hours)) == (wanted, [])


def test_with_few_samples_nothing_is_advised_and_that_is_said() -> None:
    assert advice(use([20.0] * 29, [1.0] * 29)) == ([], ["size of the pool of shop"])


def test_the_advice_names_the_size_to_set() -> None:
    small, large = (
        connections.diagnose(Answers({}, (), BEGUN), (found,)).findings[0].do
        for found in (use([20.0] * 60, [1.0] * 60), use([3.0] * 60, [0.0] * 60))
    )
    assert 'default_pool_size = "30"' in small
    assert 'default_pool_size = "6"' in large
