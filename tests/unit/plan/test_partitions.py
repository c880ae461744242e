"""Which partitions are made and dropped: whole, without overlap, for every moment of years."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgstead.model.partitions import Every, Part, Partitioning, floor, following, name_of
from pgstead.plan.partitions import rollover

MOMENTS = st.datetimes(
    datetime(2000, 1, 1),  # noqa: DTZ001 - the strategy gives the zone
    datetime(2060, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)
DAY = 86_400.0


def parts(wanted: Partitioning, there: tuple[Part, ...], now: datetime) -> tuple[Part, ...]:
    """Return what there is after a run."""
    what = rollover(wanted, there, now)
    gone = {part.name for part in (*what.drop, *what.finish)}
    made = tuple(Part(w.name, w.lower, w.upper) for w in what.make)
    return (*(part for part in there if part.name not in gone), *made)


@given(MOMENTS, st.sampled_from(list(Every)), st.integers(1, 5))
def test_now_and_what_comes_have_a_partition_each_and_a_second_run_finds_nothing_to_do(
    now: datetime, every: Every, ahead: int
) -> None:
    wanted = Partitioning("public.events", "at", every, ahead)
    there = parts(wanted, (), now)
    assert len(there) == ahead + 1
    assert there[0].lower is not None
    assert there[0].lower <= now
    for one, other in pairwise(there):
        assert one.upper == other.lower
    assert not rollover(wanted, there, now).make


@given(MOMENTS, st.sampled_from(list(Every)))
def test_a_moment_lies_in_its_partition(now: datetime, every: Every) -> None:
    start = floor(now, every)
    assert start <= now < following(start, every)
    assert floor(following(start, every), every) == following(start, every)
    assert floor(following(start, every) - timedelta(microseconds=1), every) == start


def test_a_year_of_days_keeps_ninety_of_them_and_loses_none_too_early() -> None:
    wanted = Partitioning("public.events", "at", Every.DAY, ahead=2, keep=90 * DAY)
    there: tuple[Part, ...] = ()
    now = datetime(2027, 1, 1, 0, 5, tzinfo=UTC)
    for day in range(366):
        there = parts(wanted, there, now + timedelta(days=day))
    oldest = min(part.lower for part in there if part.lower)
    assert len(there) == 90 + 1 + 2
    assert oldest == datetime(2027, 10, 3, tzinfo=UTC)


def test_a_table_that_was_converted_in_the_middle_of_a_month_gets_the_rest_of_it() -> None:
    cut = datetime(2026, 11, 22, 12, tzinfo=UTC)
    old = Part("events_before", None, cut)
    wanted = Partitioning("public.events", "at", Every.MONTH, ahead=1, keep=30 * DAY)
    what = rollover(wanted, (old,), cut - timedelta(hours=1))
    assert [(w.name, w.lower) for w in what.make] == [
        ("events_p2026_11_22_1200", cut),
        ("events_p2026_12", datetime(2026, 12, 1, tzinfo=UTC)),
    ]
    later = rollover(wanted, (old,), cut + timedelta(days=31))
    assert later.drop == (old,)


def test_a_partition_whose_detaching_was_cut_short_is_finished_and_not_begun_anew() -> None:
    old = Part("events_p2020", datetime(2020, 1, 1, tzinfo=UTC), datetime(2021, 1, 1, tzinfo=UTC),
               pending=True)  # fmt: skip
    wanted = Partitioning("public.events", "at", Every.YEAR, keep=0.0)
    what = rollover(wanted, (old,), datetime(2026, 1, 1, tzinfo=UTC))
    assert (what.finish, what.drop) == ((old,), ())


def test_what_is_half_dropped_is_finished_where_it_is_due_and_left_where_it_is_not() -> None:
    wanted = Partitioning("public.events", "at", Every.YEAR, keep=0.0)
    now = datetime(2026, 6, 1, tzinfo=UTC)
    past, next_year = datetime(2021, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
    gone = Part("events_p2020", upper=past, marked=True, detached=True)
    kept = Part("events_archive", upper=next_year, marked=True, detached=True)
    halfway = Part("events_p2026", now, next_year, pending=True)
    spared = Part("events_p2027", next_year, datetime(2028, 1, 1, tzinfo=UTC), marked=True)
    what = rollover(wanted, (gone, kept, halfway, spared), now)
    assert (what.finish, what.stray, what.unmark) == ((gone,), (kept, halfway), (spared,))
    assert what.drop == ()


def test_partitions_by_hash_are_made_once_each() -> None:
    wanted = Partitioning("public.events", "tenant", None, count=4)
    there = (Part("events_h1", remainder=1),)
    assert [w.remainder for w in rollover(wanted, there, datetime.now(UTC)).make] == [0, 2, 3]


@pytest.mark.parametrize("every", list(Every))
def test_names_stay_apart_where_the_server_would_cut_them(every: Every) -> None:
    start = datetime(2026, 11, 23, tzinfo=UTC)
    names = {name_of("x" * 62 + ending, floor(start, every), every) for ending in "ab"}
    assert len(names) == 2
    assert all(len(name) <= 63 for name in names)
