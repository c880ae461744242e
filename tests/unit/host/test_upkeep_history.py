"""The history of upkeep: what was begun is there, however it ended."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path, PurePosixPath

import pytest

from pgstead.errors import StateDirectoryError
from pgstead.host.journal import JsonJournal
from pgstead.host.upkeep_history import UpkeepFile
from pgstead.model.upkeep import Chore, Outcome, Work

CHORE = Chore(
    Work.REINDEX, "shop", "public", "orders_pkey", "orders", "shop_owner", "50% of it holds nothing"
)


@pytest.fixture
def history(tmp_path: Path) -> UpkeepFile:
    journal = JsonJournal(PurePosixPath(tmp_path / "journal.jsonl"))
    return UpkeepFile(tmp_path / "upkeep" / "history.sqlite", journal)


def changed(history: UpkeepFile, statement: str) -> None:
    with closing(sqlite3.connect(history._path)) as opened, opened:
        opened.execute(statement)


def test_nothing_is_made_before_something_is_done(history: UpkeepFile) -> None:
    assert (history.runs(), history.chores(), history.settle()) == ((), (), 0)
    assert not history._path.exists()


def test_a_chore_is_kept_with_its_figures_before_and_after(history: UpkeepFile) -> None:
    run = history.begin("test", 1)
    number = history.begin_chore(run, CHORE, {"bytes": 20.0}, "pgstead_upkeep")
    (begun,) = history.chores()
    assert (begun.outcome, begun.ended, begun.seconds) == (Outcome.RUNNING, None, None)
    history.end_chore(number, Outcome.DONE, after={"bytes": 10.0})
    history.end(run, Outcome.DONE)
    (done,) = history.chores(run=run)
    assert done.key == CHORE.key
    assert (done.before, done.after) == ({"bytes": 20.0}, {"bytes": 10.0})
    assert done.seconds is not None
    (whole,) = history.runs()
    assert (whole.outcome, whole.planned, whole.whole) == (Outcome.DONE, 1, True)
    assert history._path.stat().st_mode & 0o777 == 0o600


def test_what_a_process_that_is_gone_was_doing_is_killed_and_ours_is_not(
    history: UpkeepFile,
) -> None:
    for _ in range(2):
        run = history.begin("test", 1)
        history.begin_chore(run, CHORE, {}, "pgstead_upkeep")
    # a pid of today may be another process's than yesterday's
    changed(history, "UPDATE run SET born = 'another boot/1' WHERE number = 1")
    assert history.settle() == 1
    assert [r.outcome for r in history.runs()] == [Outcome.RUNNING, Outcome.KILLED]
    assert [c.outcome for c in history.chores()] == [Outcome.RUNNING, Outcome.KILLED]


def test_what_is_old_is_forgotten_with_its_chores(history: UpkeepFile) -> None:
    for _ in range(2):
        run = history.begin("test", 1)
        history.end_chore(history.begin_chore(run, CHORE, {}, ""), Outcome.DONE)
        history.end(run, Outcome.DONE)
    changed(history, "UPDATE run SET ended = '2020-01-01T00:00:00+00:00' WHERE number = 1")
    history.forget(400)
    assert [r.number for r in history.runs()] == [2]
    assert [c.run for c in history.chores()] == [2]


def test_a_damaged_file_is_told_with_what_may_be_done(history: UpkeepFile) -> None:
    history.begin("test", 1)
    history._path.write_bytes(b"no database")
    for path in history._path.parent.glob("*-wal"):
        path.unlink()
    with pytest.raises(StateDirectoryError, match="cannot be used"):
        history.runs()
