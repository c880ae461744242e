"""Upkeep on a running server: what it does, what it leaves alone, and what it says of it."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC
from pathlib import Path
from typing import Any

import psycopg
import pytest
from apscheduler.schedulers.background import BackgroundScheduler

from pgstead.agent.upkeeping import Upkeeping
from pgstead.errors import BusyError
from pgstead.host.upkeep_history import UpkeepFile
from pgstead.model.upkeep import ESTIMATED, MEASURED, Outcome, Work
from pgstead.workflows import upkeep
from tests.fix_stead import LiveStead
from tests.live.upkeep.keeping import (
    CRAWLING,
    DATABASE,
    ROLE,
    at_work,
    does,
    having,
    is_told_as_killed,
    killed_when,
    newest,
    of,
    running,
    without_rights,
)
from tests.waiting import until


@contextmanager
def going_on(stead: LiveStead, **changed: Any) -> Iterator[threading.Thread]:
    """Have upkeep crawl over the tables meanwhile, and wait until it is at one of them."""
    design = having(stead, **CRAWLING, **changed)
    wanted = upkeep.Wanted(works=(Work.VACUUM,))
    thread = threading.Thread(
        target=lambda: upkeep.run(design, stead.wired.ports, "test", seconds=60, wanted=wanted)
    )
    thread.start()
    try:
        until(lambda: at_work(stead))
        yield thread
    finally:
        thread.join(30)
        assert not thread.is_alive()


def test_a_churned_table_is_within_bounds_after_one_run(kept: LiveStead, churned: str) -> None:
    """Rows, statistics, and the index that is seen to be thin only then; by a role of little."""
    done = of(kept, churned)
    assert [(c.work, c.outcome) for c in done] == [
        (Work.VACUUM, Outcome.DONE),
        (Work.REINDEX, Outcome.DONE),
    ]
    vacuum, reindex = done
    assert (vacuum.before["dead"], vacuum.after["dead"]) == (16000.0, 0.0)
    before, after = reindex.before["bytes"], reindex.after["bytes"]
    assert before is not None
    assert after is not None
    assert after < 0.5 * before
    assert {c.role for c in done} == {ROLE}
    assert reindex.told_by == ESTIMATED
    assert of(kept, churned) == []
    told = kept.json("upkeep", "history", "-n", "50")
    # what other tests did comes before
    assert [t["work"] for t in told if t["table"] == churned][-2:] == ["vacuum", "reindex"]
    assert kept.json("plan")["operations"] == []


def test_bloat_is_measured_where_the_server_can(kept: LiveStead, churned: str) -> None:
    with kept.superuser(DATABASE) as session:
        session.execute("CREATE EXTENSION pgstattuple")
        try:
            session.execute("VACUUM ANALYZE churned")
            work = upkeep.look(kept.wired.design, kept.wired.ports)
        finally:
            session.execute("DROP EXTENSION pgstattuple")
    (index,) = [c for c in work.chores if c.table == churned]
    assert (index.work, index.told_by) == (Work.REINDEX, MEASURED)
    assert index.wasted is not None
    assert 0.6 < index.wasted / index.bytes < 0.9
    (table,) = [a for a in work.advice if a.what == "public.churned"]
    assert "measured" in table.why


def test_left_overs_are_dropped_and_what_cannot_be_mended_is_told(kept: LiveStead) -> None:
    does(kept, "CREATE TABLE doubles AS SELECT 1 AS n FROM generate_series(1, 2)")
    try:
        for name in ("doubles_n", "other_ccnew1"):
            with contextlib.suppress(psycopg.errors.UniqueViolation):
                does(kept, f"CREATE UNIQUE INDEX CONCURRENTLY {name} ON doubles (n)")
        told = kept.json("upkeep", "run", status=1)
        mine = {c["work"]: c for c in told["chores"] if c["table"] == "doubles"}
        assert mine["drop"]["outcome"] == "done"
        assert mine["drop"]["role"] == "jeex_owner"
        assert mine["rebuild"]["outcome"] == "failed"
        assert "could not create unique index" in mine["rebuild"]["error"]
        with kept.superuser(DATABASE) as session:
            left = session.execute(
                "SELECT indexrelid::regclass::text AS name FROM pg_index WHERE NOT indisvalid"
            ).fetchall()
        assert [row["name"] for row in left] == ["doubles_n"]  # nor what this attempt left
        failing = kept.json("upkeep", "status", status=1)["failing"]
        assert [f["name"] for f in failing] == ["doubles_n"]
        does(kept, "TRUNCATE doubles")
        assert [c.outcome for c in of(kept, "doubles")] == [Outcome.DONE]
        assert upkeep.status(kept.wired.design, kept.wired.ports).failing == ()
    finally:
        does(kept, "DROP TABLE doubles")


def test_an_old_table_is_frozen_whatever_the_window_says(kept: LiveStead) -> None:
    old = "(pg_current_xact_id()::text::int8 - 250000000 + 4294967296) % 4294967296"
    does(kept, "CREATE TABLE aged ()")
    try:
        with kept.superuser(DATABASE) as session:
            session.execute(
                f"UPDATE pg_class SET relfrozenxid = ({old})::text::xid"
                " WHERE oid = 'aged'::regclass".encode()
            )
        (done,) = of(kept, "aged", seconds=0.0)
        assert (done.work, done.outcome) == (Work.FREEZE, Outcome.DONE)
        before, after = done.before["xid_age"], done.after["xid_age"]
        assert before is not None
        assert after is not None
        assert before >= 250_000_000
        assert after < 1000
    finally:
        does(kept, "DROP TABLE aged")


def test_a_lock_that_is_not_to_be_had_puts_off_until_the_next_run(
    kept: LiveStead, churned: str
) -> None:
    with kept.superuser(DATABASE) as other:
        other.execute("SET application_name = 'a migration'")
        other.execute("BEGIN")
        other.execute("LOCK TABLE churned IN SHARE UPDATE EXCLUSIVE MODE")
        told = kept.json("upkeep", "run", "--only", "vacuum", status=3)
        other.execute("ROLLBACK")
    (put_off,) = [c for c in told["chores"] if c["table"] == churned]
    assert put_off["outcome"] == "put off"
    assert "(a migration) has ShareUpdateExclusiveLock" in put_off["error"]
    again = [c for c in kept.json("upkeep", "plan")["chores"] if c["table"] == churned]
    assert again[0]["again"].startswith("put off at ")
    assert Outcome.DONE in {c.outcome for c in of(kept, churned)}


def test_it_gives_way_to_who_waits_for_it(kept: LiveStead, churned: str) -> None:
    with going_on(kept):
        does(kept, "SET lock_timeout = '20s'", "ALTER TABLE churned ADD COLUMN more int")
    last = newest(kept)
    assert last.outcome is Outcome.DEFERRED
    assert "waited for it" in last.error


def test_what_is_not_done_when_the_window_is_over_is_put_off(kept: LiveStead, churned: str) -> None:
    for seconds in (1.0, 0.0):  # while it is at work, and before it is
        (none, *_) = of(kept, churned, seconds=seconds, **CRAWLING)
        assert none.outcome is Outcome.DEFERRED
        assert "window" in none.error


@pytest.mark.soak
def test_it_waits_while_the_server_is_busy(kept: LiveStead, churned: str) -> None:
    with kept.superuser(DATABASE) as other:
        busy = threading.Thread(target=lambda: asleep(other))
        busy.start()
        waiting = threading.Thread(target=lambda: of(kept, churned, seconds=60.0, sessions=1))
        waiting.start()
        until(lambda: running(kept))
        time.sleep(0.6)
        assert running(kept)
        assert not at_work(kept)
        other.cancel()
        busy.join()
    waiting.join(60)
    history = upkeep.history_of(kept.wired.ports)
    chores = history.chores(run=history.runs(1)[0].number)
    mine = [c for c in chores if c.table == churned]
    assert {c.outcome for c in mine} == {Outcome.DONE}


def asleep(session: Any) -> None:
    with contextlib.suppress(psycopg.errors.QueryCanceled):
        session.execute("SELECT pg_sleep(55)")


def test_a_role_without_rights_is_a_failure_and_no_success(kept: LiveStead, churned: str) -> None:
    """VACUUM of a table that one may not vacuum is but a warning."""
    with without_rights(kept):
        (failed, *_) = of(kept, churned)
    assert failed.outcome is Outcome.FAILED
    assert "permission denied to vacuum" in failed.error


def test_an_index_is_not_made_anew_where_the_disk_has_no_room(
    kept: LiveStead, churned: str
) -> None:
    does(kept, "VACUUM ANALYZE churned")
    (failed,) = of(kept, churned, room=0.999999)
    assert (failed.work, failed.outcome) == (Work.REINDEX, Outcome.FAILED)
    assert "MB of disk" in failed.error


def test_one_run_is_at_work_at_a_time(kept: LiveStead) -> None:
    with kept.superuser() as other:
        other.execute("SELECT pg_advisory_lock(%s, %s)", upkeep._LOCK)
        with pytest.raises(BusyError):
            upkeep.run(kept.wired.design, kept.wired.ports, "test")


def test_a_killed_run_is_told_and_the_next_one_ends_its_work(kept: LiveStead, churned: str) -> None:
    killed_when(kept, lambda: at_work(kept))
    done = of(kept, churned)
    assert is_told_as_killed(kept, churned)
    assert {c.outcome for c in done} == {Outcome.DONE}


@pytest.mark.soak
def test_the_agent_goes_on_in_a_window_that_is_open(
    kept: LiveStead, churned: str, tmp_path: Path
) -> None:
    """Nobody has come to an end in it: as far as this history knows."""
    history = UpkeepFile(tmp_path / "history.sqlite", kept.wired.ports.journal)
    ports = replace(kept.wired.ports, upkeep=history)
    scheduler = BackgroundScheduler(timezone=UTC, job_defaults={})
    ended = threading.Event()
    design = having(kept, schedule="* * * * *", window=3600.0, automatic=True)
    Upkeeping(design, ports, ended).schedule(scheduler)
    scheduler.start()
    try:
        until(lambda: [r.outcome for r in history.runs()[-1:]] == [Outcome.DONE])
    finally:
        ended.set()
        scheduler.shutdown()
    # at the turn of a minute the clock may be first
    assert history.runs()[-1].cause in {"resumed", "schedule"}
    assert churned in {c.table for c in history.chores()}
