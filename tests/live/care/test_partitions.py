"""A simulated year of partitions: made ahead, used meanwhile, dropped in time, no side door."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from pgstead.model.backup import Task
from pgstead.model.partitions import Every, Partitioning
from pgstead.workflows import partitions
from tests.fix_stead import LiveStead

TABLE = Partitioning("public.care_events", "at", Every.MONTH, ahead=2, keep=90 * 86_400.0)
MAKE = """
    CREATE TABLE care_events (
        id bigint GENERATED ALWAYS AS IDENTITY, at timestamptz NOT NULL, tenant text NOT NULL,
        word text, PRIMARY KEY (id, at)
    ) PARTITION BY RANGE (at);
    CREATE INDEX care_events_word ON care_events (word);
    ALTER TABLE care_events ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
    CREATE POLICY mine ON care_events TO jeex_user, jeex_readonly
        USING (tenant = (SELECT current_setting('app.current_tenant_id', true)));
    CREATE POLICY everything ON care_events TO jeex_admin, jeex_owner USING (true);
"""
YEAR = datetime(2027, 1, 1, 0, 5, tzinfo=UTC)


@pytest.fixture
def events(stead: LiveStead) -> Iterator[LiveStead]:
    """Give a table in parts that has none yet."""
    with stead.connect("jeex_migrator", direct=True) as owner:
        owner.execute(MAKE)
    yield stead
    with stead.connect("jeex_migrator", direct=True) as owner:
        owner.execute("DROP TABLE care_events")


def roll(
    stead: LiveStead, at: datetime, wanted: Partitioning = TABLE, cause: str = "schedule"
) -> Any:
    wired = stead.wired
    (done,) = partitions.run(wired.design, wired.ports, {"jeex_idea": (wanted,)}, cause, at)
    return done


def names(stead: LiveStead) -> list[str]:
    with stead.superuser("jeex_idea") as connection:
        rows = connection.execute(
            "SELECT c.relname AS name FROM pg_inherits JOIN pg_class AS c ON c.oid = inhrelid"
            " WHERE inhparent = 'care_events'::regclass ORDER BY 1"
        ).fetchall()
    return [row["name"] for row in rows]


def test_a_year_rolls_over_while_an_application_writes_and_reads(events: LiveStead) -> None:
    written = 0
    dropped = 0
    with events.connect("jeex_user", autocommit=False) as app:
        for day in range(0, 365, 30):
            now = YEAR + timedelta(days=day)
            done = roll(events, now)
            assert done.why == ""
            dropped += done.rows
            app.execute("SELECT set_config('app.current_tenant_id', 'one', true)")
            app.execute("INSERT INTO care_events (at, tenant, word) VALUES (%s, 'one', 'w')", [now])
            written += 1
            (seen,) = app.execute("SELECT count(*) FROM care_events").fetchone()
            app.commit()
            assert seen == written - dropped
    assert names(events)[0] == "care_events_p2027_09"
    assert names(events)[-1] == "care_events_p2028_02"
    kept = sum(
        YEAR + timedelta(days=d) >= datetime(2027, 9, 1, tzinfo=UTC) for d in range(0, 365, 30)
    )
    assert written - dropped == kept


def test_nobody_comes_in_by_the_name_of_a_partition(events: LiveStead) -> None:
    roll(events, YEAR)
    for role in ("jeex_user", "jeex_readonly", "jeex_admin"):
        refused = pytest.raises(psycopg.errors.InsufficientPrivilege)
        with events.connect(role, direct=True) as connection, refused:
            connection.execute("SELECT FROM care_events_p2027_01")


def test_a_partition_is_made_while_somebody_writes_and_another_reads(events: LiveStead) -> None:
    roll(events, YEAR)
    with events.superuser("jeex_idea") as writer, writer.transaction():
        writer.execute("INSERT INTO care_events (at, tenant) VALUES ('2027-01-02Z', 'one')")
        done = roll(events, YEAR + timedelta(days=31))
    assert (done.made, done.why) == (["care_events_p2027_04"], "")


def test_a_lock_that_is_not_to_be_had_is_told_and_the_next_run_does_it(events: LiveStead) -> None:
    roll(events, YEAR)
    with events.superuser("jeex_idea") as holder, holder.transaction():
        holder.execute("LOCK TABLE care_events IN SHARE UPDATE EXCLUSIVE MODE")
        done = roll(events, YEAR + timedelta(days=31))
    assert done.made == []
    assert "lock timeout" in done.why
    assert roll(events, YEAR + timedelta(days=31)).made == ["care_events_p2027_04"]


def cut_short(events: LiveStead, name: str) -> None:
    """Begin to detach a partition, and give up while somebody reads."""
    with events.superuser("jeex_idea") as reader:
        reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        reader.execute("SELECT FROM care_events")
        with events.connect("jeex_migrator", direct=True) as owner:
            owner.execute("SET statement_timeout = '500ms'")
            with pytest.raises(psycopg.errors.QueryCanceled):
                owner.execute(f"ALTER TABLE care_events DETACH PARTITION {name} CONCURRENTLY")
        reader.execute("COMMIT")


DUE = YEAR + timedelta(days=125)  # January is


def nearly_due(events: LiveStead) -> None:
    """Have partitions from January to June, on a day when January is not due yet."""
    for days in (0, 59, 118):
        assert roll(events, YEAR + timedelta(days=days)).dropped == []


def test_a_detaching_that_was_cut_short_is_finished(events: LiveStead) -> None:
    nearly_due(events)
    cut_short(events, "care_events_p2027_01")
    done = roll(events, DUE)
    assert (done.why, done.dropped) == ("", ["care_events_p2027_01"])


def test_what_somebody_else_detaches_and_is_not_due_is_told_and_not_dropped(
    events: LiveStead,
) -> None:
    nearly_due(events)
    cut_short(events, "care_events_p2027_01")
    done = roll(events, YEAR + timedelta(days=119))
    assert done.dropped == []
    assert "not due: care_events_p2027_01" in done.why
    with events.connect("jeex_migrator", direct=True) as owner:
        owner.execute("ALTER TABLE care_events DETACH PARTITION care_events_p2027_01 FINALIZE")
        done = roll(events, DUE)
        assert (done.why, done.dropped) == ("", [])  # it is somebody's own now
        owner.execute("DROP TABLE care_events_p2027_01")


KILLED = """
import sys
from datetime import datetime
from pgstead.cli.wiring import wire
from pgstead.model.backup import Task
from pgstead.model.partitions import Every, Partitioning
from pgstead.workflows import partitions
wired = wire(sys.argv[1])
table = Partitioning("public.care_events", "at", Every.MONTH, ahead=2, keep=90 * 86_400.0)
at = datetime.fromisoformat(sys.argv[2])
partitions.run(wired.design, wired.ports, {"jeex_idea": (table,)}, "schedule", at)
"""
# DETACH has committed then, and DROP has not begun
STOPS = """
    CREATE FUNCTION stops() RETURNS event_trigger LANGUAGE plpgsql AS
    'BEGIN IF session_user = ''jeex_migrator'' THEN PERFORM pg_sleep(60); END IF; END';
    CREATE EVENT TRIGGER stops ON ddl_command_start WHEN TAG IN ('DROP TABLE')
    EXECUTE FUNCTION stops()
"""


def test_a_run_that_is_killed_between_detach_and_drop_leaves_nothing_after_the_next_one(
    events: LiveStead,
) -> None:
    nearly_due(events)
    with events.superuser("jeex_idea") as connection:
        connection.execute("INSERT INTO care_events (at, tenant) VALUES ('2027-01-02Z', 'one')")
        connection.execute(STOPS)
        try:
            killed(events, connection, DUE)
        finally:
            connection.execute("DROP EVENT TRIGGER stops; DROP FUNCTION stops()")
        there = "SELECT to_regclass('care_events_p2027_01') IS NOT NULL AS there"
        assert "care_events_p2027_01" not in names(events)
        assert connection.execute(there).fetchone()["there"]
        due = partitions.due(events.wired.design, events.wired.ports, {"jeex_idea": (TABLE,)}, DUE)
        assert [p.name for _, _, what in due if what for p in what.finish] == [
            "care_events_p2027_01"
        ]
        done = roll(events, DUE)
        assert (done.why, done.dropped, done.rows) == ("", ["care_events_p2027_01"], 1)
        assert not connection.execute(there).fetchone()["there"]
    care = events.wired.ports.care
    assert care is not None
    assert [r.ending for r in care.runs.runs(Task.PARTITIONS, limit=2)] == ["done", "killed"]


def killed(stead: LiveStead, connection: Any, at: datetime) -> None:
    """Kill a run, and its session, when it is about to drop what it has detached."""
    command = [sys.executable, "-c", KILLED, str(stead.manifest), at.isoformat()]
    dropping = (
        "SELECT pid FROM pg_stat_activity WHERE application_name = 'pgstead partitions'"
        " AND query LIKE 'DROP TABLE%' AND state = 'active'"
    )
    with subprocess.Popen(command, cwd=stead.directory) as process:
        end = time.monotonic() + 120
        while (found := connection.execute(dropping).fetchone()) is None:
            assert time.monotonic() < end
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGKILL)
    connection.execute("SELECT pg_terminate_backend(%s, 10000)", [found["pid"]])


def test_a_partition_that_stays_is_not_marked_as_one_that_goes(events: LiveStead) -> None:
    """Its lock was not to be had; it is detached by hand then, and kept."""
    roll(events, YEAR)
    with events.superuser("jeex_idea") as holder:
        holder.execute(
            "COMMENT ON TABLE care_events_p2027_02 IS 'pgstead drops this partition of"
            " public.care_events, of what was until 2027-03-01T00:00:00+00:00'"
        )
        roll(events, YEAR + timedelta(days=31))
        told = holder.execute(
            "SELECT obj_description('care_events_p2027_02'::regclass) AS told"
        ).fetchone()
    assert told["told"] is None


def test_a_clock_beyond_every_partition_drops_nothing_by_itself(events: LiveStead) -> None:
    roll(events, YEAR)
    done = roll(events, YEAR + timedelta(days=4000))
    assert done.dropped == []
    assert "is the clock right?" in done.why
    assert "care_events_p2027_01" in names(events)
