"""A planted slow-down is found, named and explained; no change is none, and nothing is left."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator

import pytest

from tests.fix_stead import PGSTEAD, LiveStead, stead_in

pytestmark = pytest.mark.soak  # a stead, and loads of some seconds each

_SHORT = ("--rounds", "3", "--seconds", "0.5", "--rate", "120", "--users", "4")
_OWN = "SELECT note FROM planted.big WHERE other = 4711;\nSELECT planted.work(1);\n"
_WORK = "CREATE OR REPLACE FUNCTION planted.work(n int) RETURNS int LANGUAGE sql AS $$ {} $$"


@pytest.fixture(scope="module")
def loaded() -> Iterator[LiveStead]:
    """Share one running stead with a table, an index and a function to be made slower."""
    with stead_in(extra="") as made:
        manifest = made.manifest.read_text()
        made.manifest.write_text(
            manifest.replace(
                'sample = "systems.jeex_idea.sample"',
                'sample = "systems.jeex_idea.sample"\nload = "systems.jeex_idea.load"',
            )
        )
        made.run("up")
        made.run("migrate", "up", "jeex_idea")
        made.wait_for_service()
        _as_admin(
            made,
            "CREATE SCHEMA planted",
            "GRANT USAGE ON SCHEMA planted TO jeex_admin",
            "CREATE TABLE planted.big (id int PRIMARY KEY, other int, note text)",
            "INSERT INTO planted.big SELECT n, n, repeat('x', 80)"
            " FROM generate_series(1, 60000) AS n",
            "CREATE INDEX big_other ON planted.big (other)",
            "GRANT SELECT ON planted.big TO jeex_admin",
            _WORK.format("SELECT n"),
            "ANALYZE planted.big",
        )
        (made.directory / "own.sql").write_text(_OWN)
        yield made


def _as_admin(stead: LiveStead, *statements: str) -> None:
    with stead.superuser("jeex_idea") as admin:
        for statement in statements:
            admin.execute(statement)


def _people(stead: LiveStead) -> int:
    with stead.superuser("jeex_idea") as admin:
        return admin.execute("SELECT count(*) AS n FROM users").fetchone()["n"]


def test_a_planted_slow_down_is_found_and_no_change_is_not(loaded: LiveStead) -> None:
    own = ("--database", "jeex_idea", "--statements", "own.sql")
    told = loaded.json("bench", "baseline", *own, *_SHORT)
    assert {"api", "database", "connect", "floor"} == {m["kind"] for m in told["measured"]}
    whats = {m["what"] for m in told["measured"]}
    assert "jeex_idea: GET /projects/{project_id}" in whats
    assert all(m["failed"] == 0 and m["samples"] > 0 for m in told["measured"]), told["measured"]
    assert all(limit["samples"] >= 0 for limit in told["limits"])
    assert _people(loaded) == 0  # what was made for it is gone

    same = loaded.json("bench", "compare", *own)
    assert same["slower"] == []

    _as_admin(
        loaded,
        "DROP INDEX planted.big_other",
        _WORK.format("SELECT n FROM pg_sleep(0.02)"),
    )
    found = loaded.json("bench", "compare", *own, status=1)
    assert {what.partition(" FROM")[0] for what in found["slower"]} >= {
        "jeex_idea: SELECT note",
        "jeex_idea: SELECT planted.work(1)",
    }, found["slower"]
    by_what = {t["what"]: t for t in found["targets"]}
    index = next(t for what, t in by_what.items() if "planted.big WHERE" in what)
    assert any("Seq Scan" in line for line in index["explains"])
    assert index["then"]["median"] < index["then"]["upper"] * 1.01 < index["now"]["lower"]
    shown = loaded.run("bench", "compare", *own, status=1).stdout
    assert "slower: jeex_idea: SELECT planted.work(1)" in shown


def test_an_interrupted_load_leaves_nothing(loaded: LiveStead) -> None:
    baseline = loaded.state / "bench" / "baseline.json"
    before = baseline.read_bytes() if baseline.exists() else None
    running = subprocess.Popen(
        [*PGSTEAD, "bench", "baseline", "--seconds", "60"],
        cwd=loaded.directory,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        end = time.monotonic() + 60
        while _people(loaded) == 0:
            assert time.monotonic() < end
            time.sleep(0.1)
        os.kill(running.pid, signal.SIGINT)
        _, said = running.communicate(timeout=30)
    finally:
        running.kill()
        running.wait()
    assert running.returncode == 130, said
    assert _people(loaded) == 0
    assert (baseline.read_bytes() if baseline.exists() else None) == before
    with loaded.superuser() as admin:
        left = admin.execute(
            "SELECT count(*) AS n FROM pg_stat_activity WHERE application_name = 'pgstead bench'"
            " AND state <> 'idle'"
        ).fetchone()["n"]
    assert left == 0


def test_without_a_baseline_it_is_said_how_to_record_one(loaded: LiveStead) -> None:
    baseline = loaded.state / "bench" / "baseline.json"
    aside = baseline.with_suffix(".aside")
    if baseline.exists():
        baseline.rename(aside)
    try:
        done = loaded.run("bench", "compare", status=1)
        assert "there is no baseline" in done.stderr
        assert "pgstead bench baseline" in done.stderr
        baseline.parent.mkdir(exist_ok=True)
        baseline.write_text('{"format": 99}')
        assert "is no baseline" in loaded.run("bench", "compare", status=1).stderr
    finally:
        baseline.unlink(missing_ok=True)
        if aside.exists():
            aside.rename(baseline)
