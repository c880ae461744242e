"""A major upgrade in containers: rehearsed, done with clients waiting, taken back, and killed."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fix_stead import PGSTEAD
from tests.live.containers.contained import Contained, contained_stead
from tests.live.containers.older import NEW, OLD, ON_BOTH, ask_for, build_base, version
from tests.live.upgrade.writers import LOAD, writing

FILL = (
    "CREATE TABLE public.kept AS SELECT n, md5(n::text) AS said FROM generate_series(1, 50000) n",
    "ANALYZE",
)
SUM = "SELECT count(*) || ' ' || md5(string_agg(said, '' ORDER BY n)) FROM public.kept"


@pytest.fixture(scope="module", name="older")
def _older(_engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Contained]:
    build_base(tmp_path_factory.mktemp("both"))
    with contained_stead("test-older", part=60, images=ON_BOTH, extra=LOAD, major=OLD) as found:
        found.run("up")
        found.wait_until_healthy()
        for statement in FILL:
            found.ask("postgres", statement)  # in a system's own it would be drift
        yield found


def _as_it_should_be(contained: Contained, major: int, held: str) -> None:
    contained.wait_until_healthy()
    assert version(contained) == major
    assert contained.ask("postgres", SUM).strip() == held
    assert "nothing to change" in contained.run("plan").stdout
    assert not (contained.directory / "compose.before-upgrade.yml").exists()


def test_a_version_that_is_there_already_is_no_upgrade(older: Contained) -> None:
    assert f"of PostgreSQL {OLD} already" in older.run("upgrade", status=2).stderr


def test_a_rehearsal_changes_nothing(older: Contained) -> None:
    held = older.ask("postgres", SUM).strip()
    before = {row["Service"]: row["ID"] for row in older.rows()}
    compose = (older.directory / "compose.yml").read_text()
    ask_for(older, NEW)
    told = older.json("upgrade", "--rehearse")
    assert "rehearsed" in told, told
    print(told["rehearsed"]["seconds"], told["downtime"])
    assert told["rehearsed"]["differences"] == []
    assert (older.directory / "compose.yml").read_text() == compose
    ask_for(older, OLD)
    assert {row["Service"]: row["ID"] for row in older.rows()} == before
    _as_it_should_be(older, OLD, held)


def test_what_is_interrupted_has_the_older_version_serve_again(older: Contained) -> None:
    held = older.ask("postgres", SUM).strip()
    ask_for(older, NEW)
    words = [*PGSTEAD, "upgrade", "--target", "compose", "--unrehearsed"]
    with subprocess.Popen(
        words, cwd=older.stead.directory, stderr=subprocess.PIPE, start_new_session=True
    ) as running:
        try:
            _until_stopped(older, running)
            running.send_signal(signal.SIGINT)
            _, told = running.communicate(timeout=600)
        finally:
            running.kill()
    print(running.returncode, told.decode()[-6000:])
    assert running.returncode == 130
    ask_for(older, OLD)
    older.run("up")
    _as_it_should_be(older, OLD, held)


def _until_stopped(
    contained: Contained, running: subprocess.Popen[bytes], seconds: float = 600
) -> None:
    """Wait until the older server was stopped for its upgrade."""
    end = time.monotonic() + seconds
    while _state(contained) != "exited":
        assert running.poll() is None, running.stderr and running.stderr.read()
        assert time.monotonic() < end, contained.health()
        time.sleep(0.05)


def _state(contained: Contained) -> str:
    # By its name: a list of all is refused while one of them is being removed.
    name = "pgstead-test-older-postgres-1"
    words = ["docker", "inspect", "--format", "{{.State.Status}}", name]
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()


def test_an_upgrade_makes_the_poolers_clients_wait_and_keeps_all(older: Contained) -> None:
    held = older.ask("postgres", SUM).strip()
    ask_for(older, NEW)
    with writing(older.door, 20, 0.5) as writers:
        told = older.json("upgrade")
    print(told["seconds"], told["downtime"], told["predicted"], f"{writers.longest:.2f} s at most")
    assert writers.errors == []
    _as_it_should_be(older, NEW, held)
    assert older.broken() == []
    assert "0 rows lost" in older.run("drill").stdout


def test_the_way_back_leads_to_the_version_before(older: Contained) -> None:
    held = older.ask("postgres", SUM).strip()
    ask_for(older, OLD)
    older.run("upgrade", "--back")
    _as_it_should_be(older, OLD, held)


def test_who_is_killed_meanwhile_leaves_something_that_the_next_run_ends(
    older: Contained,
) -> None:
    held = older.ask("postgres", SUM).strip()
    ask_for(older, NEW)
    words = [*PGSTEAD, "upgrade", "--target", "compose", "--unrehearsed"]
    with subprocess.Popen(words, cwd=older.stead.directory) as running:
        _until_stopped(older, running)
        running.kill()
    older.run("upgrade", "--unrehearsed")
    _as_it_should_be(older, NEW, held)


def test_the_files_of_an_upgrade_are_no_part_of_what_up_writes(older: Contained) -> None:
    older.run("up")
    assert "upgrade" not in Path(older.directory, "Dockerfile").read_text()
