"""kill -9 anywhere: everything is back, and no acknowledged write is lost."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import psycopg
import pytest

from tests.fix_stead import PGSTEAD, LiveStead

pytestmark = [pytest.mark.live, pytest.mark.slow]

PATIENCE = 60.0  # seconds; what is measured is that it comes back, not how fast


def wait_until(what: str, check: Callable[[], bool]) -> None:
    """Wait for a condition, and say what did not come."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            if check():
                return
        except (psycopg.Error, OSError, FileNotFoundError):
            pass
        time.sleep(0.1)
    raise AssertionError(f"{what} did not come back within {PATIENCE:.0f} s")


def pid_of(stead: LiveStead, name: str) -> int:
    """Return the pid of a supervised program."""
    pid = stead.wired.ports.supervisor.states()[name].pid
    assert pid
    return pid


def answers(stead: LiveStead) -> bool:
    """Say whether a stranger gets an answer through the pooler."""
    with stead.connect() as connection:
        return connection.execute("SELECT 1").fetchone() == (1,)


class Writer:
    """Write rows through the pooler and remember which ones were acknowledged."""

    def __init__(self, stead: LiveStead) -> None:
        self.acknowledged: list[str] = []
        self._stead = stead
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join(30)

    def _run(self) -> None:
        number = 0
        while not self._end.is_set():
            try:
                with self._stead.connect() as connection:
                    while not self._end.is_set():
                        number += 1
                        email = f"w{number}-{random.random()}@example.org"
                        connection.execute(
                            "INSERT INTO users (id, email, name) SELECT set_config("
                            "'app.current_user_id', uuid_v7()::text, true)::uuid, %s, 'writer'",
                            (email,),
                        )
                        self.acknowledged.append(email)
            except (psycopg.Error, OSError):
                time.sleep(0.1)

    def must_go_on(self) -> None:
        """Wait until one more is acknowledged."""
        before = len(self.acknowledged)
        wait_until("a write", lambda: len(self.acknowledged) > before)

    def check(self) -> None:
        """Every acknowledged row is there."""
        with self._stead.superuser("jeex_idea") as connection:
            rows = connection.execute("SELECT email FROM users WHERE name = 'writer'").fetchall()
        there = {row["email"] for row in rows}
        missing = [email for email in self.acknowledged if email not in there]
        assert self.acknowledged
        assert missing == []


@pytest.fixture(scope="module")
def own() -> Iterator[LiveStead]:
    """Use a stead of this module's own: others must not see it die."""
    from tests.fix_stead import stead_in

    with stead_in() as made:
        made.run("up")
        yield made


@pytest.mark.parametrize("victim", ["postgres", "pgbouncer"])
def test_a_killed_program_comes_back_by_itself(own: LiveStead, victim: str) -> None:
    wait_until("the stead", lambda: answers(own))
    with Writer(own) as writer:
        writer.must_go_on()
        before = pid_of(own, victim)
        os.kill(before, signal.SIGKILL)
        wait_until(victim, lambda: answers(own) and pid_of(own, victim) != before)
        writer.must_go_on()
    writer.check()


def test_a_postmaster_killed_during_a_busy_query_comes_back_by_itself(own: LiveStead) -> None:
    wait_until("the stead", lambda: answers(own))
    before = pid_of(own, "postgres")
    busy = subprocess.Popen(
        [
            *PGSTEAD,
            "psql",
            "jeex_idea",
            "--role",
            "admin",
            "--direct",
            "--",
            "-c",
            "SELECT count(*) FROM generate_series(1, 2000000000)",
        ],
        cwd=own.directory,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        time.sleep(2)
        os.kill(before, signal.SIGKILL)
        wait_until("postgres", lambda: answers(own) and pid_of(own, "postgres") != before)
    finally:
        busy.kill()
        busy.wait()


def test_a_killed_supervisor_comes_back_by_itself_and_nothing_is_orphaned(own: LiveStead) -> None:
    wait_until("the stead", lambda: answers(own))
    found = [
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and _is_supervisord(entry, own)
    ]
    assert len(found) == 1
    with Writer(own) as writer:
        writer.must_go_on()
        os.kill(found[0], signal.SIGKILL)
        wait_until("the supervisor", lambda: pid_of(own, "postgres") > 0 and answers(own))
        writer.must_go_on()
    writer.check()
    assert own.json("plan")["operations"] == []


def _is_supervisord(entry: Path, stead: LiveStead) -> bool:
    try:
        words = (entry / "cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return False
    return (
        bool(re.search(r"supervisord", words))
        and str(stead.directory) in words
        and (
            "sh\0" not in words.split("supervisord")[0][-20:]
            and words.startswith("/")
            and "python" in words.split("\0")[0]
        )
    )


def test_the_next_up_mends_a_supervisor_and_keeper_killed_together(own: LiveStead) -> None:
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            words = (entry / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if f"{own.state}/run" in words:
            os.kill(int(entry.name), signal.SIGKILL)
    own.run("up")
    assert answers(own)


def _kill_up_at(stead: LiveStead, seconds: float) -> None:
    up = subprocess.Popen(
        [*PGSTEAD, "up"], cwd=stead.directory, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        up.wait(seconds)
    except subprocess.TimeoutExpired:
        up.kill()
        up.wait()


def _kill_up_at_random_moments(make_stead: Callable[..., LiveStead], count: int) -> None:
    chance = random.Random(5)
    stead = make_stead()
    for _ in range(count):
        _kill_up_at(stead, chance.uniform(0.3, 9))
        if chance.random() < 0.3:
            stead.run("up")
            assert answers(stead)
            stead.run("destroy", "--yes")
            stead.link_toolchain()
    stead.run("up")
    assert answers(stead)
    assert stead.json("plan")["operations"] == []


def test_up_killed_at_random_moments_converges_the_next_time(
    make_stead: Callable[..., LiveStead],
) -> None:
    _kill_up_at_random_moments(make_stead, 4)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_up_killed_at_twenty_random_moments_converges_the_next_time(
    make_stead: Callable[..., LiveStead],
) -> None:
    _kill_up_at_random_moments(make_stead, 20)
