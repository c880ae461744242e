"""The last hours, read from a file of samples: downsampled, resets understood, gaps left open."""

from __future__ import annotations

import getpass
import os
import pwd
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pgstead.app.dashboard import history
from pgstead.app.dashboard.charts import Frame
from pgstead.app.dashboard.history import Drawn, Plot
from pgstead.app.telemetry.samples import Point, Samples
from pgstead.host.sample_store import SampleFile
from pgstead.model.telemetry import Sample

START = datetime(2026, 11, 22, tzinfo=UTC)
SINCE = START.timestamp()
OVER = Frame(SINCE, 60.0, 10, 1)
GAUGE, COUNTER, OTHER = "pg_blocked_backends", "pg_calls_total", "pg_reads_total"


def sample(metric: str, second: float, value: float | None, **attributes: str) -> Sample:
    told = tuple(sorted(attributes.items()))
    return Sample(metric, value, START + timedelta(seconds=second), told)


@pytest.fixture
def file(tmp_path: Path) -> SampleFile:
    user = pwd.getpwuid(os.geteuid()).pw_name if os.geteuid() else getpass.getuser()
    return SampleFile(tmp_path / "telemetry" / "samples.db", user)


@pytest.fixture
def samples(file: SampleFile, tmp_path: Path) -> Samples:
    return Samples(tmp_path / "telemetry" / "samples.db", 30.0)


def points(samples: Samples, metric: str) -> tuple[Point, ...]:
    (series,) = samples.series(metric, SINCE, 60.0)
    return series.points


def test_a_gauge_is_the_mean_of_each_bucket_with_its_highest(
    file: SampleFile, samples: Samples
) -> None:
    file.write([sample(GAUGE, 0, 1.0), sample(GAUGE, 30, 3.0), sample(GAUGE, 130, None)])
    assert points(samples, GAUGE) == (Point(0, 2.0, 3.0), Point(2, None, None))


def test_a_counter_is_what_it_grew_by_a_second_and_a_reset_begins_at_zero(
    file: SampleFile, samples: Samples
) -> None:
    told = [(0, 100.0), (30, 160.0), (60, 220.0), (90, 30.0), (120, None), (180, 120.0)]
    file.write([sample(COUNTER, second, value) for second, value in told])
    assert points(samples, COUNTER) == (
        Point(0, 2.0, 2.0),
        Point(1, (60 + 30) / 60, 2.0),  # 60 more, then a reset and 30
        Point(3, 1.0, 1.0),  # over the moment that nobody knew
    )


def test_series_with_the_same_attribute_are_added_and_unknown_is_not_zero(
    file: SampleFile, samples: Samples
) -> None:
    file.write([
        sample(GAUGE, 0, 1.0, state="idle", datname="a"),
        sample(GAUGE, 1, 2.0, state="idle", datname="b"),
        sample(GAUGE, 2, None, state="active", datname="a"),
    ])  # fmt: skip
    plot = Plot("t", "", (Drawn(GAUGE, "", by="state"),))
    found = {line.label: line.values for line in history.lines(samples, plot, OVER)}
    assert found == {"active": ((0, None),), "idle": ((0, 3.0),)}


def test_a_share_of_nothing_is_unknown(file: SampleFile, samples: Samples) -> None:
    for second, hits, reads in ((0, 0.0, 0.0), (30, 90.0, 10.0), (90, 90.0, 10.0)):
        file.write([sample(COUNTER, second, hits), sample(OTHER, second, reads)])
    plot = Plot("t", "1", (Drawn(COUNTER, "hits", rest=OTHER),))
    (line,) = history.lines(samples, plot, OVER)
    assert line.values == ((0, pytest.approx(0.9)), (1, None))


def test_a_note_is_read_back_and_a_missing_one_is_none(file: SampleFile, samples: Samples) -> None:
    file.write([sample(GAUGE, 0, 1.0)])
    assert samples.note("backups") is None
    file.note("backups", {"runs": [], "reason": "größer <b>"})
    found = samples.note("backups")
    assert found is not None
    assert found.body["reason"] == "größer <b>"


def test_slots_tell_looks_and_the_share_that_was_answered(file: SampleFile) -> None:
    told = [(0, 1.0), (10, 0.0), (20, None), (70, 1.0)]
    file.write([sample("pg_up", second, value) for second, value in told])
    found = [(s.number - int(SINCE // 60), s.count, s.share) for s in file.slots(60.0, START)]
    assert found == [(0, 2, 0.5), (1, 1, 1.0)]


def test_a_frame_holds_two_looks_in_each_bucket_and_few_buckets() -> None:
    for hours in (1, 6, 48, 744):
        for interval in (1.0, 30.0, 300.0):
            frame = history.frame(hours, interval)
            assert frame.bucket >= 2 * interval
            assert frame.count <= 120
            assert frame.gap >= 1
