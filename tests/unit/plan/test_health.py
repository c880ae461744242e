"""What samples mean: levels with hysteresis, and what nobody knows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pgstead.model.telemetry import (
    Cadence,
    Check,
    Fold,
    Level,
    Sample,
    Threshold,
    Verdict,
)
from pgstead.plan.health import current, judge, level_of

NOW = datetime(2026, 11, 22, tzinfo=UTC)
RISING = Threshold(0.75, 0.9, hysteresis=0.1)
FALLING = Threshold(30.0, 7.0, hysteresis=0.1, falling=True)
DISK = Check("disk", "used", "1", "of the fullest", RISING)


def sample(value: float | None, reason: str = "", **attributes: str) -> Sample:
    return Sample("used", value, NOW, tuple(attributes.items()), reason)


def judged(*samples: Sample, check: Check = DISK, before: Verdict | None = None) -> Verdict:
    return judge(check, check.threshold, samples, before, NOW)


@pytest.mark.parametrize(
    ("value", "before", "level"),
    [
        (0.74, Level.OK, Level.OK),
        (0.75, Level.OK, Level.WARNING),
        (0.70, Level.WARNING, Level.WARNING),  # not back by a tenth yet
        (0.67, Level.WARNING, Level.OK),
        (0.89, Level.WARNING, Level.WARNING),
        (0.90, Level.OK, Level.CRITICAL),
        (0.82, Level.CRITICAL, Level.CRITICAL),
        (0.80, Level.CRITICAL, Level.WARNING),
        (0.90, Level.UNKNOWN, Level.CRITICAL),
    ],
)
def test_a_level_is_reached_at_its_threshold_and_left_beyond_the_hysteresis(
    value: float, before: Level, level: Level
) -> None:
    assert level_of(value, RISING, before) is level


@pytest.mark.parametrize(
    ("value", "before", "level"),
    [
        (31, Level.OK, Level.OK),
        (30, Level.OK, Level.WARNING),
        (32, Level.WARNING, Level.WARNING),
        (34, Level.WARNING, Level.OK),
        (7, Level.WARNING, Level.CRITICAL),
        (7.5, Level.CRITICAL, Level.CRITICAL),
        (8, Level.CRITICAL, Level.WARNING),
    ],
)
def test_where_less_is_worse_the_same_holds_downwards(
    value: float, before: Level, level: Level
) -> None:
    assert level_of(value, FALLING, before) is level


def test_the_worst_of_several_counts_and_is_named() -> None:
    found = judged(sample(0.2, place="data"), sample(0.95, place="wal"))
    assert (found.level, found.value, found.reason) == (Level.CRITICAL, 0.95, "place wal")


def test_what_is_good_as_far_as_known_is_unknown() -> None:
    found = judged(sample(0.2, place="data"), sample(None, "permission denied", place="wal"))
    assert (found.level, found.value) == (Level.UNKNOWN, None)
    assert found.reason == "permission denied"


def test_what_is_known_to_be_bad_counts_beside_what_is_unknown() -> None:
    found = judged(sample(0.95, place="data"), sample(None, "permission denied", place="wal"))
    assert found.level is Level.CRITICAL


def test_no_sample_is_unknown_unless_there_may_be_none() -> None:
    assert judged().level is Level.UNKNOWN
    lag = Check("lag", "used", "By", "lag", RISING, without="nobody receives WAL")
    found = judged(check=lag)
    assert (found.level, found.value, found.reason) == (Level.NONE, None, "nobody receives WAL")


def test_a_level_tells_since_when_it_holds() -> None:
    earlier = NOW - timedelta(hours=1)
    before = Verdict("disk", Level.WARNING, earlier, earlier, 0.8)
    assert judged(sample(0.8), before=before).since == earlier
    assert judged(sample(0.95), before=before).since == NOW


def test_a_sum_counts_all_that_match() -> None:
    plain = Check("plain", "used", "1", "x", Threshold(None, 1.0), Fold.SUM, (("ssl", "off"),))
    assert judged(sample(3, ssl="on"), sample(0, ssl="off"), check=plain).level is Level.OK
    assert judged(sample(1, ssl="off"), check=plain).level is Level.CRITICAL


def series(metric: str, seconds_ago: float, value: float | None = 1.0, **attributes: str) -> Sample:
    at = NOW - timedelta(seconds=seconds_ago)
    return Sample(metric, value, at, tuple(attributes.items()))


def kept(*samples: Sample, looked: float = 2.0, slowly: float | None = 600.0) -> set[Sample]:
    """Return what is left where looks began so many seconds ago and took as long as they could."""
    looks = {Cadence.FAST: (NOW - timedelta(seconds=looked), NOW)}
    if slowly is not None:
        looks[Cadence.SLOW] = (NOW - timedelta(seconds=slowly), NOW - timedelta(seconds=slowly - 9))
    return set(current(samples, frozenset({"age"}), looks))


def test_a_series_that_the_last_look_did_not_give_is_gone() -> None:
    there, gone = series("used", 1.5, place="data"), series("used", 29, place="wal")
    assert kept(there, gone) == {there}


def test_a_look_that_took_longer_than_its_interval_counts_whole() -> None:
    first = series("used", 40)
    assert kept(first, looked=40) == {first}


def test_what_was_unknown_in_a_slow_look_is_gone_when_a_later_one_knows_it() -> None:
    unknown, known = series("age", 1500, None), series("age", 595, datname="shop")
    assert kept(unknown, known) == {known}
    assert kept(unknown, slowly=1500) == {unknown}


def test_what_lies_in_the_future_was_seen_before_the_clock_was_set_back() -> None:
    now = series("used", 1)
    before = [series("used", -3600, place="wal"), series("age", -3600), series("gone", -3000)]
    assert kept(now, *before) == {now}


def test_before_the_first_look_all_is_as_new_as_can_be() -> None:
    known = series("age", 5000)
    assert kept(known, slowly=None) == {known}
