"""Availability: of what was sampled, without maintenance, unproven where it was too little."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pgstead.model.availability import Maintenance, Slot
from pgstead.plan.availability import availability, slot_seconds

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SLOT = 3600.0
DAYS = 2
LAST = int(NOW.timestamp() // SLOT)
ALL = range(LAST - 48 + 1, LAST)  # whole slots of two days


def up(*numbers: int, share: float = 1.0, metric: str = "pg_up") -> list[Slot]:
    return [Slot(metric, number, 60, share) for number in numbers]


def test_a_database_that_always_answered_was_available_all_the_time() -> None:
    found = availability(up(*ALL), (), NOW, SLOT, days=DAYS)
    assert (found.ratio, found.coverage, found.down, found.state) == (1.0, 1.0, 0.0, "measured")
    assert found.samples == 60 * len(ALL)


def test_a_slot_counts_as_much_as_the_worse_of_server_and_pooler() -> None:
    slots = up(*ALL) + up(ALL[3], share=0.5, metric="pgbouncer_up")
    found = availability(slots, (), NOW, SLOT, days=DAYS)
    assert found.ratio == pytest.approx(1 - 0.5 / len(ALL))
    assert found.down == SLOT / 2


def test_too_few_samples_prove_nothing_and_the_coverage_says_how_few() -> None:
    found = availability(up(*ALL[:10]), (), NOW, SLOT, days=DAYS)
    assert (found.ratio, found.measured, found.state) == (None, 1.0, "unproven")
    assert found.coverage == pytest.approx(10 / len(ALL))
    assert "95% are needed" in found.reason


def test_without_any_sample_nothing_is_claimed() -> None:
    found = availability((), (), NOW, SLOT, days=DAYS)
    assert (found.ratio, found.measured, found.coverage, found.down) == (None, None, 0.0, None)


def test_declared_maintenance_is_left_out_of_both_sides() -> None:
    begins = datetime.fromtimestamp(ALL[5] * SLOT, UTC)
    window = Maintenance(begins, begins + timedelta(seconds=2 * SLOT))
    slots = [*up(*ALL[:5]), *up(ALL[5], ALL[6], share=0.0), *up(*ALL[7:])]
    found = availability(slots, [window], NOW, SLOT, days=DAYS)
    assert (found.ratio, found.coverage, found.down) == (1.0, 1.0, 0.0)
    assert found.maintenance == 2 * SLOT
    assert availability(slots, (), NOW, SLOT, days=DAYS).down == 2 * SLOT


def test_maintenance_all_the_time_leaves_nothing_to_say() -> None:
    window = Maintenance(NOW - timedelta(days=9), NOW + timedelta(days=9))
    found = availability(up(*ALL), [window], NOW, SLOT, days=DAYS)
    assert found.ratio is None
    assert "maintenance" in found.reason


def test_what_is_older_or_of_now_does_not_count() -> None:
    found = availability(up(ALL[0] - 1, LAST, share=0.0), (), NOW, SLOT, days=DAYS)
    assert found.samples == 0


@pytest.mark.parametrize(("interval", "slot"), [(1, 60), (30, 60), (300, 600)])
def test_a_slot_holds_two_looks(interval: float, slot: float) -> None:
    assert slot_seconds(interval) == slot
