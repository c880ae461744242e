"""A restart that the pooler's clients do not notice, but for a wait."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator

import psycopg
import pytest

from tests.fix_stead import PGSTEAD, LiveStead, stead_in
from tests.live.upgrade.writers import LOAD, Writers, writing

pytestmark = [pytest.mark.live]


def pid_of_server(stead: LiveStead) -> int | None:
    return stead.wired.ports.supervisor.states()["postgres"].pid


def server_started(stead: LiveStead) -> float:
    """Return when the server that runs was started: whoever waited for it was under way then."""
    asked = "SELECT extract(epoch FROM pg_postmaster_start_time())::float8 AS at"
    with stead.superuser() as connection:
        return connection.execute(asked).fetchone()["at"]


def wrote_since(writers: Writers, seconds: float = 60) -> None:
    """Wait until every client has written again."""
    writers.reset()
    end = time.monotonic() + seconds
    while len(writers.spans) < 2 * writers.clients:
        assert not writers.errors, writers.errors[:3]
        assert time.monotonic() < end, "the clients do not go on"
        time.sleep(0.05)


def test_clients_of_the_pooler_see_no_error_while_the_server_restarts(stead: LiveStead) -> None:
    before = pid_of_server(stead)
    with writing(stead, 10) as writers:
        told = stead.json("restart")
        wrote_since(writers)
    assert writers.errors == []
    assert told["pooled"] is True
    assert pid_of_server(stead) != before


def test_an_open_transaction_stops_a_restart_and_nobody_waits_afterwards(
    stead: LiveStead,
) -> None:
    before = pid_of_server(stead)
    with stead.connect(autocommit=False) as holder:
        holder.execute("SELECT 1")
        refused = stead.run("restart", "--patience", "0.5", status=1)
        assert "jeex_user in jeex_idea" in refused.stderr
        assert "--patience SECONDS" in refused.stderr
        with stead.connect() as other:
            other.execute("SELECT 1")
        holder.execute("SELECT 1")
    assert pid_of_server(stead) == before


def test_a_restart_that_is_killed_leaves_no_client_waiting(stead: LiveStead) -> None:
    with stead.connect(autocommit=False) as holder:
        holder.execute("SELECT 1")
        running = subprocess.Popen(
            [*PGSTEAD, "restart", "--patience", "60"],
            cwd=stead.directory,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            _until_paused(stead)
        finally:
            running.kill()
            running.wait()
        with stead.connect() as other:  # waits until the pooler resumes
            other.execute("SELECT 1")
        holder.execute("SELECT 1")
    assert not stead.wired.ports.hold.release()


def _until_paused(stead: LiveStead) -> None:
    """Wait until a new client is made to wait."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            stead.connect(connect_timeout=2).close()
        except psycopg.errors.ConnectionTimeout:
            return
        time.sleep(0.05)
    raise AssertionError("the pooler is not paused")


@pytest.fixture(scope="module")
def crowded() -> Iterator[LiveStead]:
    with stead_in(extra=LOAD) as made:
        made.run("up")
        yield made


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_200_clients_see_no_error_over_ten_restarts(crowded: LiveStead) -> None:
    stalls: list[float] = []
    with writing(crowded, 200, pause=0.5) as writers:
        for _ in range(10):
            wrote_since(writers, 120)
            writers.reset()
            crowded.run("restart")
            wrote_since_all = len(writers.acknowledged)
            while len(writers.acknowledged) < wrote_since_all + 200:
                time.sleep(0.05)
                assert not writers.errors, writers.errors[:3]
            stalls.append(writers.longest_across(server_started(crowded)))
    assert writers.errors == []
    print(f"longest stalls: {', '.join(f'{s:.2f}' for s in sorted(stalls))} s")


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_a_newer_minor_release_comes_into_use_without_an_error(tmp_path: object) -> None:
    """From the system's 15 to what the toolchain pins, where the system has an older one."""
    with stead_in(major=15, extra=LOAD) as stead:
        (stead.state / "toolchain").unlink()
        from tests.live.upgrade.both import link_both

        link_both(stead, 15)
        stead.run("up")
        was = stead.wired.design.build.version
        stead.run("toolchain", "add", "15", timeout=900)
        with writing(stead, 50, pause=0.5) as writers:
            told = stead.json("upgrade")
            wrote_since(writers, 120)
        assert writers.errors == []
        if told["to"] == was:
            pytest.skip(f"the system's PostgreSQL {was} is the newest that is pinned")
        assert told["from"] == was
        with stead.superuser() as connection:
            row = connection.execute("SHOW server_version").fetchone()
        assert row["server_version"].split()[0] == told["to"]
        assert stead.json("plan")["operations"] == []
