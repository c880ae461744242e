"""What is killed, stopped, removed or full comes back by itself, with what was acknowledged."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from tests.live.containers.contained import LASTING, Contained, ContainedStead, contained_stead
from tests.live.upgrade.writers import Writers, writing

# A volume of a size: not every engine makes one, but each lets one be a directory of this machine.
SMALL = """
volumes:
  postgresql:
    driver: local
    driver_opts:
      type: none
      o: bind
      device: "{place}"
"""
TMPFS = ("mount", "-t", "tmpfs", "-o", "size=700m,uid=999,gid=999,mode=0700", "none")


class Persistent(Writers):
    """Clients that come again after an error, and count as written what was acknowledged alone."""

    async def _client(self, client: int) -> None:
        number = 0
        while not self.ended.is_set():
            try:
                async with await psycopg.AsyncConnection.connect(**self._door()) as connection:
                    self.connected += 1
                    if self.connected >= self.clients:
                        self.ready.set()
                    while not self.ended.is_set():
                        number += 1
                        await self._write(connection, client, number)
                        await self._rest()
            except psycopg.Error as error:
                self.errors.append(str(error))
                await self._rest()


@contextmanager
def acknowledged(contained: Contained) -> Iterator[Writers]:
    """Have some write; in the end all that was acknowledged is there, and they go on writing."""
    with writing(contained.door, 8, 0.05, kind=Persistent) as writers:
        yield writers
        _go_on(writers)


def _go_on(writers: Writers, seconds: float = 120) -> None:
    before, end = len(writers.acknowledged), time.monotonic() + seconds
    while len(writers.acknowledged) < before + 50:
        assert time.monotonic() < end, writers.errors[-3:]
        time.sleep(0.1)


@pytest.mark.parametrize("service", LASTING)
def test_what_is_killed_in_a_container_is_back_by_itself(
    contained: Contained, service: str
) -> None:
    with acknowledged(contained):
        contained.kill(service)
        contained.wait_until_healthy()


def test_all_stopped_and_started_holds_what_was_acknowledged(contained: Contained) -> None:
    with acknowledged(contained) as writers:
        contained.compose("stop")
        contained.compose("start")
        contained.wait_until_healthy()
    assert len(writers.acknowledged) > 50


def test_containers_that_were_removed_come_back_with_the_data(contained: Contained) -> None:
    with acknowledged(contained):
        contained.compose("rm", "--stop", "--force", "postgres", "pgbouncer", "agent")
        contained.run("up")
        contained.wait_until_healthy()


@pytest.fixture(name="small")
def _small(tmp_path: Path) -> Iterator[Path]:
    """Give a file system of 700 MB."""
    if subprocess.run([*TMPFS, str(tmp_path)], capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody mount a file system")
    try:
        yield tmp_path
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_volume_that_was_full_is_written_to_again_and_nothing_is_lost(small: Path) -> None:
    ballast = "/var/lib/postgresql/ballast"
    override = SMALL.format(place=small)
    with contained_stead("test-small", part=55, override=override) as contained:
        contained.run("up")
        contained.wait_until_healthy()
        with acknowledged(contained) as writers:
            _go_on(writers)
            fill = f"dd if=/dev/zero of={ballast} bs=1M 2>/dev/null; true"
            contained.compose("exec", "-T", "agent", "sh", "-c", fill)
            _until_refused(contained.door, writers)
            contained.compose("exec", "-T", "agent", "rm", ballast)
            contained.wait_until_healthy()


def _until_refused(stead: ContainedStead, writers: Writers) -> None:
    """Write until the server says that there is no room, or is gone for it."""
    end = time.monotonic() + 180
    before = len(writers.errors)
    rows = "SELECT repeat(md5(n::text), 40) FROM generate_series(1, 40000) AS n"
    grow = f"CREATE TABLE IF NOT EXISTS grown AS {rows}"
    while len(writers.errors) == before:
        assert time.monotonic() < end, "the volume does not become full"
        try:
            with stead.superuser("jeex_idea") as connection:
                connection.execute(grow)
                connection.execute("INSERT INTO grown SELECT * FROM grown")
        except AssertionError as refused:
            if "No space left" in str(refused):
                return
            time.sleep(0.5)
