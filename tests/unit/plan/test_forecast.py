"""The date at which a capacity ends, against growth that is known."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest

from pgstead.model.advice import Diagnosis, Severity
from pgstead.model.telemetry import Sample
from pgstead.plan.advice import forecast

NOW = datetime(2026, 11, 22, 5, 0, tzinfo=UTC)
DISK = "pgstead_filesystem_used_ratio"
XIDS = "pg_database_xid_age"


def grown(
    metric: str, now: float, a_day: float, *, hours: float = 48, noise: float = 0.0,
    every: float = 300.0, **attributes: str,
) -> list[Sample]:  # fmt: skip
    """Return samples of something that grows evenly, with some noise."""
    chance = random.Random(7)
    count = int(hours * 3600 / every)
    return [
        Sample(
            metric,
            now - a_day * back / 86_400 + chance.gauss(0, noise),
            NOW - timedelta(seconds=back),
            tuple(attributes.items()),
        )
        for back in (every * n for n in range(count, -1, -1))
    ]


def days(found: Diagnosis) -> float:
    """Return in how many days the one finding says that the limit is met."""
    (one,) = found.findings
    told = {f.name: f.value for f in one.evidence}
    moment = datetime.fromisoformat(str(told["meets its limit"]))
    assert int(told["samples"] or 0) >= forecast.SAMPLES
    return (moment - NOW).total_seconds() / 86_400


@pytest.mark.parametrize("noise", [0.0, 0.005])
@pytest.mark.parametrize(("used", "a_day"), [(0.8, 0.01), (0.5, 0.05), (0.9, 0.02), (0.97, 0.004)])
def test_a_disk_that_grows_is_full_at_the_date_within_a_fifth(
    used: float, a_day: float, noise: float
) -> None:
    found = forecast.diagnose({DISK: grown(DISK, used, a_day, noise=noise, place="data")}, NOW)
    assert days(found) == pytest.approx((1 - used) / a_day, rel=0.2)


def test_outliers_do_not_move_the_date() -> None:
    samples = grown(DISK, 0.8, 0.02, place="data")
    for at in range(10, len(samples), 37):
        samples[at] = Sample(DISK, 0.99, samples[at].at, samples[at].attributes)
    found = forecast.diagnose({DISK: samples}, NOW)
    assert days(found) == pytest.approx(10, rel=0.2)


def test_transaction_numbers_and_sequences_have_their_dates() -> None:
    limit = 2**31 - 1 - 3_000_000
    xids = grown(XIDS, limit - 5e8, 1e8, datname="shop")
    assert days(forecast.diagnose({XIDS: xids}, NOW)) == pytest.approx(5, rel=0.2)
    name = "pg_sequence_used_ratio"
    used = grown(name, 0.9, 0.01, datname="shop", schemaname="public", sequencename="orders_id_seq")
    found = forecast.diagnose({name: used}, NOW)
    assert days(found) == pytest.approx(10, rel=0.2)
    assert found.findings[0].database == "shop"
    assert "orders_id_seq" in found.findings[0].says
    connections = grown("pg_connections_used_ratio", 0.6, 0.1)
    found = forecast.diagnose({"pg_connections_used_ratio": connections}, NOW)
    assert days(found) == pytest.approx(4, rel=0.2)


def test_what_ends_soon_is_critical_and_what_ends_late_is_only_listed() -> None:
    soon = forecast.diagnose({DISK: grown(DISK, 0.9, 0.05, place="data")}, NOW)
    assert soon.findings[0].severity is Severity.CRITICAL
    late = forecast.diagnose({DISK: grown(DISK, 0.5, 0.005, place="data")}, NOW)
    assert late.findings == ()
    (row,) = late.tables[0].rows
    assert str(row[0]).startswith("2027-")
    assert row[5] == 577


def test_what_stands_still_or_falls_has_no_date() -> None:
    still = grown(DISK, 0.9, 0.0, noise=0.01, place="data")
    falling = grown(DISK, 0.5, -0.05, place="wal")
    found = forecast.diagnose({DISK: [*still, *falling]}, NOW)
    assert found.findings == ()
    assert {row[0] for row in found.tables[0].rows} == {"does not grow"}


def test_numbers_that_vacuum_gives_back_meet_no_limit() -> None:
    saw = [
        Sample(XIDS, 2e8 * ((n % 60) / 60), NOW - timedelta(minutes=5 * (600 - n)))
        for n in range(600)
    ]
    found = forecast.diagnose({XIDS: saw}, NOW)
    assert found.findings == ()


@pytest.mark.parametrize(("hours", "every"), [(3, 60.0), (48, 7200.0), (0, 300.0)])
def test_of_too_few_samples_nothing_is_claimed(hours: float, every: float) -> None:
    found = forecast.diagnose({DISK: grown(DISK, 0.9, 5, hours=hours, every=every)}, NOW)
    assert found.findings == ()
    assert found.tables[0].rows[0][0] == "not known"
    assert any("are needed" in unseen.reason for unseen in found.unseen)


def test_what_nobody_sampled_or_knew_is_unseen() -> None:
    nobody = [Sample(DISK, None, NOW - timedelta(hours=n), reason="no") for n in range(48, 0, -1)]
    found = forecast.diagnose({DISK: nobody}, NOW)
    assert found.tables == ()
    assert {u.what for u in found.unseen} >= {"connections", "sequence"}


def test_the_end_that_alerts_go_by_is_that_of_what_ends_first_within_a_fifth() -> None:
    name = "pg_sequence_used_ratio"
    slow = grown(name, 0.5, 0.01, noise=0.002, datname="shop", sequencename="slow")
    fast = grown(name, 0.6, 0.04, noise=0.002, datname="shop", sequencename="fast")
    flat = grown(DISK, 0.7, 0.0, noise=0.01, place="data")
    (end,) = forecast.ends({name: [*slow, *fast], DISK: flat}, NOW)
    assert (end.capacity, end.database) == ("sequence", "shop")
    assert "fast" in end.name
    assert (end.at - NOW).total_seconds() / 86_400 == pytest.approx(10, rel=0.2)


def test_of_too_few_samples_no_end_is_told() -> None:
    assert forecast.ends({DISK: grown(DISK, 0.9, 0.5, hours=5, place="data")}, NOW) == ()
