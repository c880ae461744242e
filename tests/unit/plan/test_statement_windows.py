"""Statements against their own past, from figures that are made up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pgstead.model.statements import (
    Counts,
    Reading,
    StatementKey,
    StatementWindow,
    fingerprint,
)
from pgstead.plan.statement_windows import TOP, deltas, regressions

KEY = StatementKey("shop", "shop_app", "42")
START = datetime(2026, 1, 1, tzinfo=UTC)


def counts(calls: float, seconds: float) -> Counts:
    return Counts(calls, seconds, calls, 0.0, 0.0)


def past(*windows: tuple[float, float]) -> list[StatementWindow]:
    """Make windows of calls and seconds of a call, five minutes each."""
    return [
        StatementWindow(
            KEY,
            "SELECT 1",
            START + n * timedelta(minutes=5),
            START + (n + 1) * timedelta(minutes=5),
            counts(calls, calls * mean),
        )
        for n, (calls, mean) in enumerate(windows)
    ]


def test_what_took_the_most_since_the_look_before_comes_first_and_is_bounded() -> None:
    keys = [StatementKey("shop", "shop_app", str(n)) for n in range(2 * TOP)]
    before = Reading(START, {key: counts(10, 10) for key in keys})
    after = Reading(START, {key: counts(11, 10 + n) for n, key in enumerate(keys)})
    found = deltas(before, after)
    assert len(found) == TOP
    assert found[0] == (keys[-1], counts(1, 2 * TOP - 1))


def test_a_statement_that_was_not_called_is_in_no_window() -> None:
    same = {KEY: counts(10, 1)}
    assert deltas(Reading(START, same), Reading(START, same)) == []


@pytest.mark.parametrize("before", [{}, {KEY: counts(100, 50)}])
def test_after_a_reset_what_is_counted_anew_counts(before: dict[StatementKey, Counts]) -> None:
    found = deltas(Reading(START, before), Reading(START, {KEY: counts(3, 1)}))
    assert found == [(KEY, counts(3, 1))]


def test_a_statement_twice_as_slow_as_its_median_is_a_regression() -> None:
    (found,) = regressions(past((50, 0.1), (50, 0.1), (50, 9.0), (50, 0.1), (50, 0.3)))
    assert found.before == pytest.approx(0.1)
    assert found.factor == pytest.approx(3)
    assert found.windows == 4


@pytest.mark.parametrize(
    "windows",
    [
        ((50, 0.1), (50, 0.1), (50, 0.3)),  # too little past
        ((50, 0.1), (50, 0.1), (50, 0.1), (5, 9.0)),  # too few calls
        ((50, 0.1), (5, 0.1), (50, 0.1), (50, 9.0)),  # too few calls before
        ((50, 0.1), (50, 0.1), (50, 0.1), (50, 0.19)),  # not twice as slow
        ((50, 1e-5), (50, 1e-5), (50, 1e-5), (50, 1e-4)),  # nobody loses anything by it
        ((50, 0.3), (50, 0.3), (50, 0.3), (50, 0.1)),  # faster
    ],
)
def test_what_is_no_regression(windows: tuple[tuple[float, float], ...]) -> None:
    assert list(regressions(past(*windows))) == []


def test_a_statement_is_known_again_whatever_its_constants() -> None:
    normal = fingerprint("SELECT *\n FROM t1 WHERE a = $1 AND b = $2 LIMIT $3")
    assert fingerprint("SELECT * FROM t1 WHERE a = 'it''s' AND b = 7.5 LIMIT 3") == normal
    assert fingerprint("SELECT * FROM t2 WHERE a = $1 AND b = $2 LIMIT $3") != normal
