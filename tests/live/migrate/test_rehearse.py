"""`pgstead migrate rehearse`: on a copy, with others beside it, and back again."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pgstead.errors import HostError, StateDirectoryError
from pgstead.host import live_copy, processes, rehearsals
from tests.fix_stead import PGSTEAD
from tests.live.migrate.shop import Shop, shop

ROWS = 20_000
RETYPE = "ALTER TABLE item ALTER COLUMN size TYPE bigint"
BACK = "ALTER TABLE item ALTER COLUMN size TYPE integer"


@pytest.fixture(scope="module")
def running() -> Iterator[Shop]:
    with shop(server="[server.settings]\nmax_prepared_transactions = 4") as made:
        made.fill(ROWS)
        yield made


@pytest.fixture
def made(running: Shop) -> Iterator[Shop]:
    """Give the shop; revisions that the test wrote are removed."""
    yield running
    running.forget(*(p.stem for p in running.versions.glob("*.py") if p.stem != "aa01"))
    assert running.copies() == []


def locks(told: Any) -> dict[tuple[str, str], Any]:
    """Return the locks of the first way up, by table and mode."""
    statements = told["passes"][0]["statements"]
    return {(lock["table"], lock["mode"]): lock for s in statements for lock in s["locks"]}


def test_a_rewrite_is_told_with_its_lock_its_wal_and_who_waited(made: Shop) -> None:
    # the lock is held to the end of the transaction, whatever statement took it
    up = (RETYPE, "SELECT pg_sleep(0.5)", "ALTER TABLE note ADD COLUMN extra text DEFAULT 'x'")
    made.sql("aa02", *up, down=("ALTER TABLE note DROP COLUMN extra", BACK))
    with made.stead.superuser("shop") as other:
        other.execute("BEGIN")
        other.execute("INSERT INTO note VALUES (99, 1, 'never committed')")
        other.execute("PREPARE TRANSACTION 'forgotten'")
        try:
            told = made.rehearse("--longest-lock", "0.3", status=3)
        finally:
            other.execute("ROLLBACK PREPARED 'forgotten'")
    retype, _, extra = told["passes"][0]["statements"]
    assert retype["rewritten"] == ["item"]
    assert extra["rewritten"] == []
    assert retype["wal"] > 0
    assert retype["disk"] > 0
    assert locks(told).keys() == {("item", "ACCESS EXCLUSIVE"), ("note", "ACCESS EXCLUSIVE")}
    assert locks(told)["item", "ACCESS EXCLUSIVE"]["seconds"] > 0.4
    waits = {waited["what"]: waited for waited in told["passes"][0]["waits"]}
    assert waits.keys() == {f"{how} of {of}" for how in ("reads", "writes") for of in made.tables}
    assert max(waits[f"{how} of item"]["longest"] for how in ("reads", "writes")) > 0.2
    assert [p["direction"] for p in told["passes"]] == ["up", "down", "up"]
    assert told["differences"] == []
    assert told["lost"] == ["10 value(s) of note.extra"]
    (problem,) = told["problems"]
    assert "nobody reads or writes item" in problem
    assert any("'forgotten' was rolled back" in note for note in told["notes"])
    with made.stead.superuser("shop") as original:
        row = original.execute("SELECT version_num AS at FROM alembic_version").fetchone()
        assert row == {"at": "aa01"}


def test_one_that_went_well_is_kept_and_what_a_dead_machine_left_is_swept(made: Shop) -> None:
    left = made.stead.state / "server" / "c00ffee"
    _make(made, left)
    _make(made, left / "data")
    made.sql("aa02", RETYPE, down=(BACK,))
    said = made.stead.run("migrate", "rehearse", "shop", "--clients", "0").stdout
    assert not left.exists()
    assert "shop: rehearsed aa02: went well" in said
    assert "ACCESS EXCLUSIVE on item for" in said
    assert "item rewritten" in said
    assert "up, down and up again: schema and rows are the same" in said
    wired = made.stead.wired
    kept = rehearsals.last(wired.design.layout, wired.ports.files, "shop")
    assert kept is not None
    assert kept.start == ("aa01",)
    assert kept.revisions.keys() == {"aa02"}
    assert kept.covers(kept.revisions)
    assert "item rewritten" in Path(kept.report).read_text()
    with made.stead.superuser("shop") as session:
        row = session.execute("SELECT count(*) AS n FROM pg_replication_slots").fetchone()
    assert row == {"n": 0}


def _make(made: Shop, directory: Path) -> None:
    """Make a directory of the servers' user."""
    directory.mkdir(mode=0o700)
    if os.geteuid() == 0:
        shutil.chown(directory, made.stead.wired.design.host.server_user)


def test_a_way_back_that_does_not_lead_back_is_found(made: Shop) -> None:
    made.sql(
        "aa02",
        "UPDATE item SET size = -size WHERE id = 7",
        "ALTER TABLE item DROP COLUMN name",
        "CREATE TABLE tag (id bigint PRIMARY KEY)",
        down=("ALTER TABLE item ADD COLUMN name text", "DELETE FROM note WHERE id = 3"),
    )
    told = made.rehearse("--clients", "1", status=3)
    assert "after the way down: item.name has other values than before" in told["problems"]
    assert "after the way down: item.size has other values than before" in told["problems"]
    assert "after the way down: note has 9 rows instead of 10" in told["problems"]
    assert any(p.startswith("after the way down: table public.tag") for p in told["problems"])
    assert any("the way up again fails" in problem for problem in told["problems"])


def test_what_is_built_concurrently_locks_nobody_out_and_no_way_back_is_no_crash(
    made: Shop,
) -> None:
    made.revision(
        "aa02",
        # a lock of a few milliseconds may fall between two looks
        "op.execute('INSERT INTO item SELECT n, n FROM generate_series(1000000, 1300000) n')\n"
        "with op.get_context().autocommit_block():\n"
        "    op.create_index('item_size', 'item', ['size'], postgresql_concurrently=True)",
        # what a revision of a user says whose way back there is none: the subject of this test
        "raise NotImplementedError('restore it')",
    )
    told = made.rehearse("--longest-lock", "0")
    assert ("item", "SHARE UPDATE EXCLUSIVE") in locks(told)
    assert "restore it" in told["irreversible"]
    assert [p["direction"] for p in told["passes"]] == ["up", "down"]
    assert told["problems"] == []


def test_one_that_fails_is_told_with_the_servers_words_and_others_statements_are_taken(
    made: Shop,
) -> None:
    made.sql("aa02", RETYPE, "ALTER TABLE nothing ADD COLUMN x int")
    traffic = made.stead.directory / "day 1.sql"
    traffic.write_text(
        "SET search_path = public; SELECT count(*) FROM note; UPDATE note SET id=id;"
    )
    told = made.rehearse("--traffic", str(traffic), status=3)
    assert 'relation "nothing" does not exist' in told["problems"][0]
    first, second = told["passes"][0]["statements"]
    assert not first["failed"]
    assert second["failed"]
    waits = {waited["what"]: waited["count"] for waited in told["passes"][0]["waits"]}
    assert waits.keys() == {"SELECT count(*) FROM note", "UPDATE note SET id=id"}
    traffic.write_text("SELECT FROM WHERE")
    said = made.stead.run("migrate", "rehearse", "shop", "--traffic", str(traffic), status=2)
    assert "is no SQL" in said.stderr


def test_the_whole_history_is_rehearsed_from_nothing(made: Shop) -> None:
    assert made.stead.run("migrate", "rehearse", "shop").stdout == "shop: nothing to rehearse\n"
    told = made.rehearse("--from", "base")
    assert told["revisions"] == ["aa01"]
    assert told["start"] == []
    # it is made there, so nobody can have wanted it
    assert all(not lock["rows"] for lock in locks(told).values())
    said = made.stead.run("migrate", "rehearse", "shop", "--from", "ffff", status=2)
    assert "there is no revision 'ffff'" in said.stderr


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=lambda n: n.name)
def test_nothing_is_left_of_one_that_was_ended(made: Shop, number: signal.Signals) -> None:
    made.sql("aa02", "SELECT pg_sleep(600)")
    with subprocess.Popen(
        [*PGSTEAD, "migrate", "rehearse", "shop"],
        cwd=made.stead.directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as rehearsing:
        assert rehearsing.stdout is not None
        for line in rehearsing.stdout:
            if "up: aa02" in line:
                break
        (copy,) = made.copies()
        assert _servers_on(copy)
        if number is signal.SIGINT:
            busy = made.stead.run("migrate", "rehearse", "shop", status=1)
            assert "another rehearsal is running" in busy.stderr
        rehearsing.send_signal(number)
        rehearsing.communicate(timeout=60)
    _until(lambda: not copy.exists() and not _servers_on(copy))


def _servers_on(copy: Path) -> list[processes.Process]:
    return [
        process
        for process in processes.everyone()
        if any(str(copy) in part for part in processes.arguments(process.pid))
    ]


def _until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 120
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_no_room_and_what_cannot_be_copied_are_told_before_anything_is_copied(
    made: Shop,
) -> None:
    wired = made.stead.wired
    target = Path(wired.design.layout.server) / "never"

    def copied(headroom: int) -> None:
        live_copy.make(
            wired.ports.sql,
            Path(wired.design.layout.data),
            target,
            user=wired.design.host.server_user,
            headroom=headroom,
            progress=wired.ports.progress,
        )

    with pytest.raises(StateDirectoryError, match=r"needs about \d+ MB .* and \d+ MB are free"):
        copied(2**60)
    place = target.with_name("place")
    _make(made, place)
    with made.stead.superuser() as session:
        session.execute(f"CREATE TABLESPACE elsewhere LOCATION '{place}'")
        try:
            with pytest.raises(HostError, match=r"tablespaces \(elsewhere\)"):
                copied(0)
        finally:
            session.execute("DROP TABLESPACE elsewhere")
            place.rmdir()
    assert not target.exists()
