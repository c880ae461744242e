"""Disks that are full: the live database goes on, people are told, and it heals when there is room.

The repository, the area of drills and the data directory are small file systems, one at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from pgstead.errors import SteadError
from pgstead.model.backup import Ending, Task
from tests.fix_stead import stead_in
from tests.live.backup.small_disks import Small, may_mount, namespace
from tests.waiting import until

pytestmark = [pytest.mark.live, pytest.mark.slow, pytest.mark.timeout(900)]

# a server that asks for no more WAL than the smallest of these disks can hold
_WAL = """\
[server.settings]
max_wal_size = "64MB"
min_wal_size = "32MB"
max_slot_wal_keep_size = "128MB"
"""


@pytest.fixture(scope="module")
def small() -> Iterator[Small]:
    """A stead whose repository, and whose area of drills, are file systems of their own."""
    if not may_mount():
        pytest.skip("this user may not mount a file system, not even in a namespace")
    told = 'true\ndirectory = "repository"'
    with stead_in(backup=told, server=_WAL) as stead, namespace(stead) as made:
        made.mount(repository(made), "150m")
        made.run("up")
        verified = lambda: any(  # noqa: E731 - said once
            r.ending is Ending.DONE for r in made.runs(Task.VERIFY)
        )
        until(verified, "no first backup was made and verified")
        yield made


def repository(small: Small) -> Path:
    return small.stead.directory / "repository"


def test_a_full_repository_harms_nobody_and_heals_by_itself(small: Small) -> None:
    small.rows("CREATE TABLE kept (n bigint)")
    with small.filled(repository(small)):
        for n in range(4):
            small.rows(f"INSERT INTO kept SELECT {n} FROM generate_series(1, 1000)")
            small.rows("SELECT pg_switch_wal()")
        assert small.rows("SELECT count(*) AS n FROM kept") == [{"n": 4000}]  # people go on
        said = small.run("backup", "now", status=1).stderr
        assert "Traceback" not in said
        assert "No space left" in said or "no room" in said
        told = small.run("status", status=None).stdout  # the receiver comes back again and again
        assert "the last backup failed" in told
        assert "the repository's file system is almost full" in told
        (slot,) = small.rows("SELECT wal_status FROM pg_replication_slots")
        assert slot["wal_status"] in ("reserved", "extended")
    until(small.streamed, "the receiver did not go on by itself")
    small.run("backup", "now", "--verify")
    assert "the last backup failed" not in small.run("status").stdout


def test_a_slot_that_lost_wal_is_told_made_anew_and_followed_by_a_backup(small: Small) -> None:
    small.rows("ALTER SYSTEM SET max_slot_wal_keep_size = '16MB'")
    small.rows("SELECT pg_reload_conf()")
    small.stead.wired.ports.supervisor.stop("wal-receiver")

    def lost() -> bool:
        small.rows("INSERT INTO kept VALUES (1)")
        small.rows("SELECT pg_switch_wal()")
        small.rows("CHECKPOINT")
        return small.rows("SELECT wal_status FROM pg_replication_slots")[0]["wal_status"] == "lost"

    until(lost, "the slot kept everything")
    assert "the replication slot is lost" in small.run("status", status=1).stdout
    assert "BAK-007" in small.run("prove", "BAK-007", status=1).stdout
    small.rows("ALTER SYSTEM RESET max_slot_wal_keep_size")
    small.rows("SELECT pg_reload_conf()")
    small.run("up")
    until(small.streamed, "nothing receives the WAL")

    def made() -> bool:
        return any(
            r.cause in ("gap", "retry") and r.ending is Ending.DONE for r in small.runs(Task.VERIFY)
        )

    until(made, "the agent made no new base backup", 150)


def test_without_room_for_a_drill_nothing_is_begun_and_the_next_one_passes(small: Small) -> None:
    area = Path(small.stead.wired.design.layout.backup)
    small.run("down")
    small.mount(area, "300m")
    small.run("up")
    small.rows("CREATE TABLE drilled (n bigint)")
    with small.filled(area, leaving=30 * 2**20):
        said = small.run("drill", status=1).stderr
        assert "there is no room in" in said
        assert str(area) in said
        said = small.run("backup", "verify", status=1).stderr
        assert "there is no room in" in said
        small.rows("INSERT INTO drilled VALUES (1)")  # people go on
        assert "the last drill failed: there is no room" in small.run("status", status=None).stdout
    small.run("drill")
    assert "the last drill failed" not in small.run("status", status=None).stdout
    assert list(small.inside(area).glob("drill-*")) == []


def test_a_drill_whose_disk_becomes_full_meanwhile_leaves_nothing_and_is_told(
    small: Small,
) -> None:
    area = Path(small.stead.wired.design.layout.backup)
    with small.start("drill") as running:
        assert running.stderr is not None
        said = ""
        for line in running.stderr:
            said += line
            if "restoring" in line:
                break
        with small.filled(area):
            said += running.stderr.read()
            assert running.wait(120) == 1, said
            assert small.rows("SELECT 1 AS n") == [{"n": 1}]  # people go on
    assert "Traceback" not in said
    assert "no space left" in said.lower() or "free space there" in said, said
    until(lambda: list(small.inside(area).glob("drill-*")) == [], "something was left")
    small.run("drill")
    last = small.runs(Task.DRILL)
    assert last[0].ending is Ending.DONE
    assert last[1].ending in (Ending.FAILED, Ending.KILLED)  # the catalog lies there too


@pytest.fixture(scope="module")
def tight(small: Small) -> Small:
    """The same stead, its data directory on a file system of its own: WAL is in there too."""
    small.run("down")
    small.mount(Path(small.stead.wired.design.layout.data), "420m")
    small.run("up")
    small.rows("CREATE TABLE big (n bigint, text text)")
    until(small.streamed, "nothing receives the WAL")
    return small


def write(small: Small, rows: int) -> None:
    small.rows(f"INSERT INTO big SELECT n, repeat('x', 100) FROM generate_series(1, {rows}) AS n")


@pytest.mark.soak
def test_where_nobody_takes_the_wal_away_the_slot_is_given_up_and_writes_go_on(
    tight: Small,
) -> None:
    tight.stead.wired.ports.supervisor.stop("agent")
    tight.stead.wired.ports.supervisor.stop("wal-receiver")
    for _ in range(30):  # 30 times 15 MB, and the WAL of it, on a disk of 420
        tight.rows("TRUNCATE big")
        write(tight, 100_000)
    tight.rows("CHECKPOINT")
    assert tight.rows("SELECT wal_status FROM pg_replication_slots")[0]["wal_status"] == "lost"
    assert "the replication slot is lost" in tight.run("status", status=None).stdout
    tight.rows("TRUNCATE big")
    before = len(tight.runs(Task.BACKUP))
    tight.run("up")
    until(tight.streamed, "nothing receives the WAL")

    def followed() -> bool:
        return len(tight.runs(Task.BACKUP)) > before

    until(followed, "the agent made no new base backup", 150)


@pytest.mark.soak
def test_on_a_full_data_directory_a_commit_is_told_or_refused_and_what_was_told_stays(
    tight: Small,
) -> None:
    tight.rows("CREATE TABLE told (n bigint)")
    full = tight.filled(Path(tight.stead.wired.design.layout.data), leaving=2**20)
    told = 0
    with full, suppress(psycopg.Error, SteadError):
        for n in range(1, 1000):
            tight.rows(f"INSERT INTO told VALUES ({n})")
            told = n
            write(tight, 5000)
    assert told < 999, "the disk was never full"
    until(tight.stead.wired.ports.sql.answers, "the server did not come back by itself")
    (row,) = tight.rows("SELECT count(*) AS rows, max(n) AS last FROM told")
    assert row["rows"] == row["last"]
    assert told <= row["last"] <= told + 1
    tight.run("up")
    until(tight.streamed, "nothing receives the WAL")
    tight.run("backup", "now", "--verify")
    tight.run("drill")
