"""Samples on the disk: bounded, whole, and said where they cannot be."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pgstead.app.telemetry.samples import Samples, UnreadableSamplesError
from pgstead.catalog.health_checks import CHECKS
from pgstead.errors import StateDirectoryError
from pgstead.host import sample_store
from pgstead.host.programs import my_name
from pgstead.host.sample_store import SampleFile
from pgstead.model.telemetry import Level, Metric, MetricKind, Sample, Verdict

NOW = datetime.now(UTC)
UP = Metric("pg_up", MetricKind.GAUGE, "1", "Up.")
USED = Metric("used", MetricKind.GAUGE, "1", "Used.", ("place",))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "telemetry" / "samples.db"


@pytest.fixture
def store(path: Path) -> Iterator[SampleFile]:
    made = SampleFile(path, my_name())
    made.declare([(UP, 10.0), (USED, 10.0)])
    yield made
    made.close()


def used(value: float | None, place: str, at: datetime = NOW, reason: str = "") -> Sample:
    return Sample("used", value, at, (("place", place),), reason)


def test_the_newest_sample_of_each_series_is_kept_with_its_reason(store: SampleFile) -> None:
    store.write([used(0.5, "data", NOW - timedelta(seconds=9)), used(None, "wal", reason="why")])
    store.write([used(0.6, "data")])
    assert set(store.newest()) == {used(0.6, "data"), used(None, "wal", reason="why")}
    history = [s.value for s in store.history("used", NOW - timedelta(hours=1))]
    assert history == [0.5, 0.6, None]


def test_what_is_old_is_removed_and_availability_is_kept_longer(store: SampleFile) -> None:
    old = NOW - timedelta(days=5)
    store.write([used(0.5, "gone", old), Sample("pg_up", 1.0, old), used(0.5, "data")])
    store.forget(NOW - timedelta(days=2), NOW - timedelta(days=31))
    assert [s.metric for s in store.newest()] == ["pg_up", "used"]
    assert len(store.history("pg_up", old)) == 1
    store.forget(NOW - timedelta(days=2), NOW - timedelta(days=3))
    assert [s.attributes for s in store.newest()] == [(("place", "data"),)]


def test_all_of_a_look_is_written_or_nothing(store: SampleFile) -> None:
    wrong = Sample("used", 1.0, NOW, reason=None)  # pyright: ignore[reportArgumentType]
    with pytest.raises(StateDirectoryError):
        store.write([used(0.5, "data"), wrong])
    assert store.newest() == ()
    store.write([used(0.5, "data")])
    assert len(store.newest()) == 1


def test_a_damaged_file_is_set_aside_and_said_and_the_next_begins_anew(
    store: SampleFile, path: Path
) -> None:
    store.write([used(0.5, "data")])
    store.close()
    for name in ("samples.db-wal", "samples.db-shm"):
        path.with_name(name).unlink(missing_ok=True)
    path.write_bytes(b"no database at all" * 1000)
    with pytest.raises(StateDirectoryError, match="begin anew") as told:
        store.write([used(0.6, "data")])
    (aside,) = path.parent.glob("samples.db.broken-*")
    assert str(aside) in told.value.hint
    store.declare([(USED, 10.0)])
    store.write([used(0.7, "data")])
    assert [s.value for s in store.newest()] == [0.7]


def test_a_file_that_is_made_and_not_yet_filled_holds_no_samples(path: Path) -> None:
    path.parent.mkdir()
    path.touch()
    assert SampleFile(path, my_name()).newest() == ()
    with pytest.raises(UnreadableSamplesError, match="not sampled anything yet"):
        Samples(path, 30.0).newest()


def test_its_tables_come_all_at_once_or_not_at_all(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = f"{sample_store.TABLES} CREATE TABLE metric (name TEXT);"
    with monkeypatch.context() as patch:
        patch.setattr(sample_store, "TABLES", broken)
        with pytest.raises(StateDirectoryError, match="already exists"):
            SampleFile(path, my_name()).declare([(UP, 10.0)])
    with contextlib.closing(sqlite3.connect(path)) as looked:
        assert looked.execute("SELECT name FROM sqlite_schema").fetchall() == []
    store = SampleFile(path, my_name())
    store.declare([(UP, 10.0)])
    store.write([Sample("pg_up", 1.0, NOW)])
    store.close()
    assert [s.metric for s in SampleFile(path, my_name()).newest()] == ["pg_up"]


def test_a_file_of_another_version_is_set_aside(store: SampleFile, path: Path) -> None:
    store.close()
    with sqlite3.connect(path) as other:
        other.execute("PRAGMA user_version = 99")
    with pytest.raises(StateDirectoryError, match="version 99"):
        store.write([used(0.5, "data")])


def test_a_service_reads_it_while_the_agent_writes_and_when_that_is_gone(
    store: SampleFile, path: Path
) -> None:
    reading = Samples(path, 30.0)
    store.write([used(0.5, "data")])
    (check, *_) = CHECKS
    now = datetime.now(UTC)  # of the test's, not of the module's: what is old counts as unknown
    verdict = Verdict(check.name, Level.OK, now, now, 1.0)
    store.judge([(check, check.threshold, verdict)])
    assert [(s.metric, s.value) for s in reading.newest()] == [("used", 0.5)]
    store.close()
    assert [(c.name, c.level, c.value) for c in reading.judged()] == [("server", Level.OK, 1.0)]


def test_a_service_says_why_there_are_no_samples(path: Path) -> None:
    with pytest.raises(UnreadableSamplesError, match="not sampled anything yet"):
        Samples(path, 30.0).newest()
    path.parent.mkdir()
    path.write_bytes(b"x" * 5000)
    with pytest.raises(UnreadableSamplesError, match="cannot be read"):
        Samples(path, 30.0).newest()
