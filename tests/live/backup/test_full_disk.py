"""A repository without room: the live database goes on, people are told, and it heals by itself.

The repository is a small file system in a mount namespace; everything of the stead runs in there.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pgstead.model.backup import Ending, Task
from tests.fix_stead import LiveStead, stead_in

_HOLD = 'mount -t tmpfs -o size=$2,mode=700 tmpfs "$1" && echo mounted && exec sleep infinity'


@dataclass
class Small:
    """A stead whose repository is a file system of its own."""

    stead: LiveStead
    holder: subprocess.Popen[str]
    place: Path

    @property
    def inside(self) -> Path:
        """The repository, seen from here."""
        return Path(f"/proc/{self.holder.pid}/root{self.place}")

    def run(self, *arguments: str, status: int = 0) -> Any:
        """Run the command in there."""
        enter = ["nsenter", f"--target={self.holder.pid}", "--mount", "--wd=."]
        done = subprocess.run(
            [*enter, sys.executable, "-m", "pgstead", *arguments],
            cwd=self.stead.directory,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=240,
            check=False,
        )
        assert done.returncode == status, f"{done.stdout}\n{done.stderr}\n{self.stead.log_tail()}"
        return done

    def fill(self) -> None:
        """Leave no room, not even for what a file that is there would grow by."""
        with (self.inside / "ballast").open("ab", buffering=0) as file, _until_full():
            while True:
                file.write(b"x" * 65536)

    def empty(self) -> None:
        """Give the room back."""
        (self.inside / "ballast").unlink()

    def rows(self, statement: str) -> list[Any]:
        with self.stead.superuser() as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def streamed(self) -> bool:
        """Say whether all WAL has left the server."""
        found = self.rows(
            "SELECT 1 FROM pg_stat_replication WHERE sent_lsn >= pg_current_wal_flush_lsn()"
            " AND state = 'streaming'"
        )
        return bool(found)


@contextmanager
def _until_full() -> Iterator[None]:
    try:
        yield
    except OSError:
        return


def wait(condition: Callable[[], object], what: str, seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.2)


def may_mount() -> bool:
    """Say whether this user may mount in a namespace, and start servers there."""
    mount = ["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"]
    return (
        os.geteuid() == 0 and not subprocess.run(mount, check=False, capture_output=True).returncode
    )


@pytest.fixture(scope="module")
def small() -> Iterator[Small]:
    if not may_mount():
        pytest.skip("this user may not mount a file system, not even in a namespace")
    # a limit of two segments is reached soon
    with stead_in(backup='true\ndirectory = "repository"') as stead:
        place = stead.directory / "repository"
        place.mkdir(mode=0o700)
        hold = ["unshare", "--mount", "sh", "-c", _HOLD, "sh", str(place), "72m"]
        with subprocess.Popen(hold, stdout=subprocess.PIPE, text=True) as holder:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "mounted\n"
            made = Small(stead, holder, place)
            try:
                made.run("up")
                backup = stead.wired.ports.backup
                assert backup is not None
                done = lambda: any(  # noqa: E731 - said once
                    r.ending is Ending.DONE for r in backup.catalog.runs(Task.VERIFY)
                )
                wait(done, "no first backup was made and verified")
                yield made
                made.run("down")
            finally:
                holder.kill()


def test_a_full_repository_harms_nobody_and_heals_by_itself(small: Small) -> None:
    small.rows("CREATE TABLE kept (n bigint)")
    small.fill()
    for n in range(4):
        small.rows(f"INSERT INTO kept SELECT {n} FROM generate_series(1, 1000)")
        small.rows("SELECT pg_switch_wal()")
    assert small.rows("SELECT count(*) AS n FROM kept") == [{"n": 4000}]  # people go on
    said = small.run("backup", "now", status=1).stderr
    assert "Traceback" not in said
    assert "No space left" in said or "no room" in said
    told = small.run("status").stdout
    assert "the last backup failed" in told
    assert "the repository's file system is almost full" in told
    (slot,) = small.rows("SELECT wal_status FROM pg_replication_slots")
    assert slot["wal_status"] in ("reserved", "extended")
    small.empty()
    wait(small.streamed, "the receiver did not go on by itself")
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

    wait(lost, "the slot kept everything")
    assert "the replication slot is lost" in small.run("status", status=1).stdout
    assert "BAK-007" in small.run("prove", "BAK-007", status=1).stdout
    small.rows("ALTER SYSTEM RESET max_slot_wal_keep_size")
    small.rows("SELECT pg_reload_conf()")
    small.run("up")
    wait(small.streamed, "nothing receives the WAL")
    backup = small.stead.wired.ports.backup
    assert backup is not None

    def made() -> bool:
        return any(
            r.cause == "gap" and r.ending is Ending.DONE for r in backup.catalog.runs(Task.VERIFY)
        )

    wait(made, "the agent made no new base backup", 150)
