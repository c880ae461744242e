"""For each subject a planted fault: it is found with its evidence, and its SQL cures it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress

import psycopg
import pytest

from tests.fix_stead import LiveStead, stead_in
from tests.live.inspect.looking import (
    as_admin,
    cure,
    figures,
    findings,
    inspect,
    session,
)
from tests.live.telemetry.seen import until


@pytest.fixture(scope="module")
def looked() -> Iterator[LiveStead]:
    """Share one running stead; each test plants what is its own, and removes it."""
    with stead_in(telemetry="true") as made:
        made.run("up")
        as_admin(
            made,
            "CREATE SCHEMA planted",
            "GRANT ALL ON SCHEMA planted TO jeex_admin",
            "CREATE TABLE planted.held (id int PRIMARY KEY, note text)",
            "INSERT INTO planted.held SELECT n, 'x' FROM generate_series(1, 100) AS n",
            "GRANT ALL ON planted.held TO jeex_admin",
        )
        yield made


def test_a_lock_chain_is_shown_from_its_root_and_ending_that_frees_all(looked: LiveStead) -> None:
    update = "UPDATE planted.held SET note = 'y' WHERE id = 1"
    with session(looked) as root, session(looked) as first, session(looked) as second:
        root.execute(update)
        waiting = [threading.Thread(target=_tried, args=(c, update)) for c in (first, second)]
        for thread in waiting:
            thread.start()
        found = until(lambda: _both(looked), "both wait")
        assert figures(found)["session"] == str(root.info.backend_pid)
        assert len(found["detail"]) >= 3
        assert "waits" in found["detail"][1]
        shown = looked.run("inspect", "locks").stdout
        assert max(len(line) for line in shown.splitlines() if " sql " not in line) <= 80
        cure(looked, found)
        first.cancel_safe()
        second.cancel_safe()
        for thread in waiting:
            thread.join(20)
        with suppress(psycopg.Error):
            first.rollback()
        with suppress(psycopg.Error):
            second.rollback()
        until(lambda: not inspect(looked, "locks")["findings"], "nobody waits")


def _both(stead: LiveStead) -> dict[str, object] | None:
    found = findings(inspect(stead, "locks"), "blocking-session")
    return next((f for f in found if figures(f)["blocked"] == 2), None)


def _tried(connection: psycopg.Connection, statement: str) -> None:
    with suppress(psycopg.Error):
        connection.execute(statement)


def test_a_statement_that_spills_is_found_and_more_work_mem_ends_it(looked: LiveStead) -> None:
    sorting = "SELECT n, repeat('x', 60) FROM generate_series(1, %s) AS n ORDER BY 2, 1 DESC"

    def sort() -> None:
        with session(looked) as connection:
            for _ in range(2):
                connection.execute(sorting, (60_000,)).fetchone()
                connection.rollback()  # it is counted when its portal ends

    as_admin(looked, "ALTER ROLE jeex_admin IN DATABASE jeex_idea SET work_mem = '1MB'")
    try:
        sort()
        (found,) = findings(inspect(looked, "queries"), "temporary-files", "repeat")
        assert figures(found)["calls"] == 2
        assert "since" in found["window"]
        cure(looked, found)
        sort()
        again = inspect(looked, "queries")
        assert findings(again, "temporary-files", "repeat") == []
    finally:
        as_admin(looked, "ALTER ROLE jeex_admin IN DATABASE jeex_idea RESET work_mem")


def test_without_the_extension_statements_are_unseen_and_never_none(looked: LiveStead) -> None:
    as_admin(looked, "ALTER EXTENSION pg_stat_statements SET SCHEMA planted")
    try:
        said = inspect(looked, "queries")
    finally:
        as_admin(looked, "ALTER EXTENSION pg_stat_statements SET SCHEMA public")
    assert said["tables"] == []
    assert any("not installed" in u["reason"] for u in said["unseen"])
