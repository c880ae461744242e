"""A clock that is set is noticed, one that is slewed is not."""

from __future__ import annotations

import pytest

from pgstead.agent.clock_watch import ClockWatch


@pytest.mark.parametrize(
    ("wall", "steady", "by"),
    [(1030.0, 30.0, 0.0), (1031.0, 30.0, 0.0), (4630.0, 30.0, 3600.0), (-2570.0, 30.0, -3600.0)],
)
def test_it_says_by_how_much_the_clock_was_set(wall: float, steady: float, by: float) -> None:
    walls, steadies = iter((1000.0, wall, wall + 1)), iter((0.0, steady, steady + 1))
    watch = ClockWatch(lambda: next(walls), lambda: next(steadies))
    assert watch.jumped() == pytest.approx(by)
    assert watch.jumped() == 0.0  # told once
