"""PERF-001 and PERF-002: each figure has its sample count, and of too few nothing is claimed."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest

from pgstead.model.performance import Counted
from pgstead.plan.advice.performance import diagnose, measures_of

BOUNDS = (0.001, 0.01, 0.1, 0.5, 1.0, math.inf)


def told(
    *seconds: float, waits: int = 100, waited: float = 0.1, timeouts: int = 0, lost: int = 0
) -> Iterator[Counted]:
    name = "db_client_operation_duration_seconds"
    yield from (
        Counted(f"{name}_bucket", {"le": str(bound)}, sum(s <= bound for s in seconds))
        for bound in BOUNDS
    )
    yield Counted(f"{name}_count", {"error_type": "57P01"}, lost)
    yield Counted("db_client_connection_wait_time_seconds_count", {}, waits)
    yield Counted("db_client_connection_wait_time_seconds_sum", {}, waited)
    yield Counted("db_client_connection_timeouts_total", {}, timeouts)


def figures(*seconds: float, **counted: float) -> dict[str, tuple[float | None, int, bool | None]]:
    samples = [*told(*seconds, **counted)]  # pyright: ignore[reportArgumentType]
    return {m.what: (m.value, m.samples, m.met) for m in measures_of("shop", samples)}


def test_limits_that_are_met_and_ones_that_are_not() -> None:
    good = figures(*[0.005] * 990, *[0.2] * 10)
    assert good["p95 of statements"] == (0.01, 1000, True)
    assert good["p99 of statements"] == (0.01, 1000, True)
    bad = figures(*[0.005] * 900, *[0.2] * 80, *[2] * 20)
    assert bad["p95 of statements"] == (0.5, 1000, False)
    assert bad["p99 of statements"] == (1.0, 1000, False)  # more than the largest bound


def test_the_wait_for_connections_and_failures_are_exact() -> None:
    found = figures(waits=200, waited=1.0, timeouts=0, lost=2)
    assert found["mean wait for a connection"] == (0.005, 200, True)
    assert found["connections that failed"] == (0.01, 200, True)
    found = figures(waits=90, waited=2.0, timeouts=10)
    assert found["mean wait for a connection"][2] is False
    assert found["connections that failed"] == (pytest.approx(0.1), 100, False)


def test_of_no_samples_nothing_is_met() -> None:
    assert {m for _, _, m in figures(waits=0, waited=0).values()} == {None}
    found = diagnose({"shop": [*told(waits=3)]}, {"other": "it does not answer"})
    assert found.findings == ()
    assert {row[2] for row in found.tables[0].rows} == {"not known"}
    assert {row[5] for row in found.tables[0].rows} == {"not known"}
    assert any("too few" in u.reason for u in found.unseen)
    assert any(u.what == "service other" for u in found.unseen)
    assert diagnose({"shop": [*told(*[2.0] * 600)]}, {}).findings
