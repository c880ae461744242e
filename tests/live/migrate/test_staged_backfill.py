"""Backfills: each row once whatever happens, no row hidden, and way given to others."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
import pytest

from pgstead.app.staged.batches import bar
from pgstead.app.staged.pace import Pace
from tests.free_ports import free_port
from tests.live.migrate.project import Project, line_with
from tests.live.migrate.staging import Writers, helper
from tests.live.scratch import server_user, toolchain
from tests.waiting import until

TABLE = (
    "CREATE TABLE item (day date, code text, hits int DEFAULT 0, n int, PRIMARY KEY (day, code))"
)
ROWS = (
    "INSERT INTO item SELECT date '2026-01-01' + n % 50, 'c ''%' || n, 0, n"
    " FROM generate_series(1, {count}) AS n"
)
HITS = "SELECT hits, count(*) FROM item WHERE n >= 0 GROUP BY 1 ORDER BY 1"
VISITED = "SELECT coalesce(max(visited), 0) FROM pgstead_migrations.backfill"


@pytest.mark.parametrize(
    ("kills", "count"),
    [(2, 3000), pytest.param(30, 60_000, marks=[pytest.mark.soak, pytest.mark.timeout(3600)])],
)
def test_each_row_is_done_once_however_often_the_runner_is_killed(
    project: Project, kills: int, count: int
) -> None:
    project.sql("aa01", TABLE, ROWS.format(count=count))
    project.up()
    helper(
        project,
        "aa02",
        'staged.backfill("item", {"hits": "hits + 1"}, where="n % 3 <> 5",'
        " pace=staged.Pace(largest=10, active=1000))",
    )
    writes = (
        # behind and before the place where it is, and rows that it has in hand
        "INSERT INTO item (day, code, n) VALUES (date '2026-01-01' + %(n)s %% 50, %(n)s, -1)",
        f"UPDATE item SET n = n WHERE n = %(n)s %% {count}",
        "DELETE FROM item WHERE code = (%(n)s - 2)::text",
    )
    chance = random.Random(19)
    with Writers(project, writes).at_work():
        for _ in range(kills):
            ((visited,),) = project.rows(VISITED)
            far = visited + chance.randint(10, count // (kills + 1))
            runner = project.start("upgrade", "head")
            until(lambda far=far: project.rows(VISITED)[0][0] >= far, "it is so far", 60)
            runner.kill()
            runner.communicate()
        assert "going on with the backfill of item: hits" in project.up()
    assert project.rows(HITS) == [(1, count)]
    assert project.rows("SELECT count(*) FROM pgstead_migrations.backfill") == [(0,)]
    # down and up again it begins anew
    project.alembic("downgrade", "-1")
    project.up()
    assert project.rows(HITS) == [(2, count)]


def test_rows_that_a_policy_hides_are_refused_or_seen_all(project: Project) -> None:
    project.sql(
        "aa01",
        TABLE,
        ROWS.format(count=50),
        "ALTER TABLE item ENABLE ROW LEVEL SECURITY",
        "ALTER TABLE item FORCE ROW LEVEL SECURITY",
    )
    project.up()
    fill = 'staged.backfill("item", {"hits": "hits + 1"})'
    helper(project, "aa02", fill)
    said = project.up(fails=True)
    assert "a backfill sees no row of item" in said
    assert "staged.every_row" in said
    assert project.rows(HITS) == [(0, 50)]
    forced = "SELECT relforcerowsecurity FROM pg_class WHERE relname = 'item'"
    # also where the block fails it is forced again
    project.last = "aa01"
    helper(
        project,
        "aa02",
        f'with staged.every_row("item"):\n    {fill}\n    raise RuntimeError("stop")',
    )
    project.up(fails=True)
    assert project.rows(forced) == [(True,)]
    path = project.versions / "aa02.py"
    path.write_text(path.read_text().replace('raise RuntimeError("stop")', "pass"))
    # killed in the block, it was not
    project.execute("ALTER TABLE item NO FORCE ROW LEVEL SECURITY")
    project.up()
    assert project.rows(HITS) == [(1, 50)]
    assert project.rows(forced) == [(True,)]


def test_a_row_that_cannot_be_filled_is_named_without_its_values(project: Project) -> None:
    project.sql("aa01", TABLE, ROWS.format(count=700), "UPDATE item SET n = 0 WHERE n = 333")
    helper(project, "aa02", 'staged.backfill("item", {"hits": "1 / n"})')
    said = project.up(fails=True)
    assert "the row 2026-02-03, c '%333 of item cannot be filled: DivisionByZero (22012)" in said
    assert "Traceback" not in said
    project.execute("UPDATE item SET n = 1 WHERE n = 0")
    assert "going on with the backfill" in project.up()
    assert project.rows("SELECT count(*) FROM item WHERE hits = 1 / n") == [(700,)]


def test_a_row_that_somebody_locks_is_come_back_to(project: Project) -> None:
    project.sql("aa01", TABLE, ROWS.format(count=100))
    project.up()
    helper(
        *(project, "aa02"),
        'staged.backfill("item", {"hits": "1"}, pace=staged.Pace(pause=0.2))',
    )
    with project.session() as other:
        other.execute("UPDATE item SET hits = 5 WHERE n = 50")
        runner = project.start("upgrade", "head")
        # rows before the locked one are done meanwhile: the batches get smaller
        until(lambda: project.rows(VISITED)[0][0] > 0, "it goes on", 60)
        other.commit()
    said, _ = runner.communicate(timeout=60)
    assert runner.returncode == 0, said
    assert project.rows(HITS) == [(1, 100)]


def test_the_script_of_a_backfill_does_the_same(project: Project) -> None:
    project.sql("aa01", TABLE, ROWS.format(count=2500))
    project.up()
    helper(project, "aa02", 'staged.backfill("item", {"hits": "hits + 1"}, where="n % 2 <> 5")')
    script = project.folder / "script.sql"
    written = project.alembic("upgrade", "aa01:aa02", "--sql")
    script.write_text(
        "\n".join(line for line in written.splitlines() if not line.startswith("INFO"))
    )
    scratch = project.scratch
    done = subprocess.run(
        [str(scratch.binaries / "psql"), "-X", "-v", "ON_ERROR_STOP=1", "-f", str(script)],
        env={
            **os.environ,
            "LD_LIBRARY_PATH": str(toolchain(18) / "lib"),
            "PGHOST": str(scratch.socket),
            "PGPORT": str(scratch.port),
            "PGUSER": "postgres",
            "PGDATABASE": project.database,
        },
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert project.rows(HITS) == [(1, 2500)]
    assert "nothing" in project.pgstead("up").out


def test_it_pauses_while_others_have_much_to_do(project: Project) -> None:
    project.sql("aa01", TABLE, ROWS.format(count=100))
    project.up()
    helper(
        project,
        "aa02",
        'staged.backfill("item", {"hits": "1"}, pace=staged.Pace(active=0, pause=0.1))',
    )
    with project.session() as busy:
        thread = threading.Thread(target=_sleep, args=(busy,))
        thread.start()
        runner = project.start("upgrade", "head")
        assert "other sessions are at work (limit 0)" in line_with(runner, "pausing the backfill")
        assert project.rows(HITS) == [(0, 100)]
        busy.cancel_safe()
        thread.join()
        said, _ = runner.communicate(timeout=60)
    assert runner.returncode == 0, said
    assert project.rows(HITS) == [(1, 100)]


def _sleep(session: psycopg.Connection[Any]) -> None:
    with suppress(psycopg.errors.QueryCanceled):
        session.execute("SELECT pg_sleep(600)")


@contextmanager
def standby(project: Project) -> Iterator[None]:
    """Let a standby stream that replays no commit."""
    scratch = project.scratch
    hba = scratch.data / "pg_hba.conf"
    if "replication" not in hba.read_text():
        hba.write_text("local replication postgres trust\n" + hba.read_text())
    project.execute("SELECT pg_reload_conf()")
    copy = scratch.folder / "standby"
    copy.mkdir(mode=0o700)
    if user := server_user():
        shutil.chown(copy, user)
    command = scratch._command
    told = {
        "env": {**os.environ, "LD_LIBRARY_PATH": str(toolchain(18) / "lib")},
        "cwd": "/",
        "stdout": subprocess.DEVNULL,
        "stderr": subprocess.DEVNULL,
    }
    source = ("-h", str(scratch.socket), "-p", str(scratch.port), "-U", "postgres")
    options = ("-D", str(copy), "-R", "-c", "fast", "--no-sync")
    subprocess.run(command("pg_basebackup", *source, *options), check=True, **told)
    options = ("listen_addresses=127.0.0.1", "unix_socket_directories=", "hot_standby=off")
    # what pg_basebackup writes for itself may be too new for the library of the receiver
    primary = f"primary_conninfo=host='{scratch.socket}' port={scratch.port} user=postgres"
    delayed = (primary, *options, "recovery_min_apply_delay=1h", f"port={free_port()}")
    settings = [word for option in delayed for word in ("-c", option)]
    process = subprocess.Popen(command("postgres", "-D", str(copy), *settings), **told)
    try:
        streaming = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'"
        until(lambda: project.rows(streaming) == [(1,)], "the standby streams", 60)
        yield
    finally:
        process.send_signal(signal.SIGQUIT)
        process.wait(30)
        shutil.rmtree(copy)


def test_it_pauses_while_a_standby_is_behind(project: Project) -> None:
    project.sql("aa01", TABLE, ROWS.format(count=100))
    project.up()
    helper(
        project,
        "aa02",
        'staged.backfill("item", {"hits": "1"}, pace=staged.Pace(lag_bytes=1, pause=0.1))',
    )
    with standby(project):
        project.execute("UPDATE item SET hits = 0")
        runner = project.start("upgrade", "head")
        assert "of WAL behind (limit 0 MB)" in line_with(runner, "pausing the backfill")
        assert project.rows(HITS) == [(0, 100)]
    said, _ = runner.communicate(timeout=60)
    assert runner.returncode == 0, said
    assert project.rows(HITS) == [(1, 100)]


def test_the_bar_shows_how_far_it_is() -> None:
    told = bar(500, 1000, 250, 2.5)
    assert told == "[##########..........] 50%, 500 of about 1000 rows, 100/s, 5 s left"
    assert "100%" in bar(70, 0, 70, 1.0)
    assert "stands still" in bar(0, 10, 0, 1.0)


def test_a_batch_is_sized_by_the_time_that_the_last_one_took() -> None:
    pace = Pace(seconds=0.5, largest=5000)
    assert pace.next_size(1000, 1.0) == 500
    assert pace.next_size(1000, 0.01) == 2000
    assert pace.next_size(1000, 60.0) == 250
    assert pace.next_size(4000, 0.1) == 5000
    assert pace.next_size(1, 60.0) == 1
