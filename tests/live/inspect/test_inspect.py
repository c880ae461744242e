"""For each subject a planted fault: it is found with its evidence, and its SQL cures it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import psycopg
import pytest

from pgstead.cli.picture import lines
from pgstead.workflows.top import Watching
from tests.fix_stead import LiveStead, stead_in
from tests.live.inspect.looking import (
    Said,
    as_admin,
    cure,
    cured,
    figures,
    findings,
    inspect,
    session,
)
from tests.waiting import until


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


def _both(stead: LiveStead) -> Said | None:
    found = findings(inspect(stead, "locks"), "blocking-session")
    return next((f for f in found if figures(f)["blocked"] == 2), None)


def _tried(connection: Any, statement: str) -> None:
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


def test_indexes_that_are_broken_or_double_are_found_and_their_sql_mends_them(
    looked: LiveStead,
) -> None:
    as_admin(
        looked,
        "CREATE TABLE planted.parent (id int PRIMARY KEY)",
        "INSERT INTO planted.parent SELECT generate_series(1, 1000)",
        "CREATE TABLE planted.child (id int, parent int REFERENCES planted.parent, note text)",
        "INSERT INTO planted.child SELECT n, 1 + n % 1000, repeat('x', 20)"
        " FROM generate_series(1, 30000) AS n",
        "CREATE INDEX note_short ON planted.child (note)",
        "CREATE INDEX note_long ON planted.child (note, id)",
        "ANALYZE planted.child, planted.parent",
    )
    with looked.superuser("jeex_idea") as admin, suppress(psycopg.errors.UniqueViolation):
        admin.execute("CREATE UNIQUE INDEX CONCURRENTLY broken ON planted.child (parent)")
    cured(looked, "indexes", "duplicate-index", "note_short")
    (broken,) = findings(inspect(looked, "indexes"), "invalid-index", "broken")
    assert figures(broken)["size"] is not None
    as_admin(looked, "DELETE FROM planted.child WHERE id > 1000")
    cure(looked, broken)
    said = inspect(looked, "indexes")
    assert findings(said, "invalid-index", "broken") == []
    # nothing is advised that was not tried
    assert findings(said, "missing-index") == []
    assert any(u["what"] == "missing indexes" for u in said["unseen"])
    as_admin(looked, "DROP TABLE planted.child, planted.parent")


def test_a_missing_index_is_advised_after_it_was_tried_on_a_copy(looked: LiveStead) -> None:
    as_admin(
        looked,
        "CREATE TABLE planted.orders (id int PRIMARY KEY, customer int, note text)",
        "INSERT INTO planted.orders SELECT n, n % 5000, repeat('x', 20)"
        " FROM generate_series(1, 40000) AS n",
        "GRANT SELECT ON planted.orders TO jeex_admin",
        "ANALYZE planted.orders",
    )
    with session(looked) as connection:
        for customer in range(30):
            connection.execute("SELECT * FROM planted.orders WHERE customer = %s", (customer,))
        connection.rollback()
    said = inspect(looked, "indexes", check=True)
    (found,) = findings(said, "missing-index", "planted")
    told = figures(found)
    assert told["with the index"] < told["estimated cost now"] / 2
    assert '"customer"' in found["sql"][0]
    with looked.superuser("jeex_idea") as admin:
        (row,) = admin.execute(
            "SELECT count(*) AS n FROM pg_indexes WHERE schemaname = 'planted'"
            " AND tablename = 'orders'"
        )
        assert row["n"] == 1  # it was tried elsewhere
    cure(looked, found)
    assert findings(inspect(looked, "indexes", check=True), "missing-index", "planted") == []
    as_admin(looked, "DROP TABLE planted.orders")


def test_dead_rows_and_a_thin_index_are_estimated_and_cured(looked: LiveStead) -> None:
    as_admin(
        looked,
        "CREATE TABLE planted.fat (id int PRIMARY KEY, note text)"
        " WITH (autovacuum_enabled = false)",
        "INSERT INTO planted.fat SELECT n, repeat('x', 100) FROM generate_series(1, 100000) AS n",
        "DELETE FROM planted.fat WHERE id % 20 <> 0",
        "SELECT pg_stat_force_next_flush()",
    )
    (off,) = findings(inspect(looked, "vacuum"), "autovacuum-off", "fat")
    (dead,) = findings(inspect(looked, "bloat"), "dead-rows", "fat")
    assert "estimate" in dead["says"]
    assert figures(dead)["dead"] == 95_000
    cure(looked, dead)
    cure(looked, off)
    assert findings(inspect(looked, "vacuum"), "autovacuum-off", "fat") == []
    (thin,) = findings(inspect(looked, "bloat"), "bloated-index", "fat_pkey")
    assert "estimate" in thin["says"]
    cure(looked, thin)
    said = inspect(looked, "bloat")
    assert [f for f in said["findings"] if "fat" in f"{f}" and f["rule"] != "bloated-table"] == []
    assert any(u["what"].startswith("measured tables") for u in said["unseen"])
    as_admin(looked, "CREATE EXTENSION pgstattuple")
    cured(looked, "bloat", "bloated-table", "fat")
    as_admin(looked, "DROP EXTENSION pgstattuple", "DROP TABLE planted.fat")


def test_a_role_near_its_limit_is_found_before_it_is_refused(looked: LiveStead) -> None:
    with looked.superuser() as admin:
        (row,) = admin.execute(
            "SELECT rolconnlimit AS n FROM pg_roles WHERE rolname = 'jeex_admin'"
        )
    as_admin(looked, "ALTER ROLE jeex_admin CONNECTION LIMIT 1")
    try:
        with session(looked):
            cured(looked, "connections", "connections-near-limit", "jeex_admin")
    finally:
        as_admin(looked, f"ALTER ROLE jeex_admin CONNECTION LIMIT {row['n']}")


def test_a_sequence_near_its_end_is_found_and_one_that_is_closed_is_unseen(
    looked: LiveStead,
) -> None:
    as_admin(
        looked,
        "CREATE TABLE planted.counted (id smallserial PRIMARY KEY)",
        "SELECT setval('planted.counted_id_seq', 30000)",
    )
    said = inspect(looked, "vacuum")
    assert findings(said, "sequence-near-its-end") == []
    assert any("may not read" in u["reason"] for u in said["unseen"])
    as_admin(
        looked,
        "GRANT USAGE ON SCHEMA planted TO pgstead_monitor",
        "GRANT SELECT ON SEQUENCE planted.counted_id_seq TO pgstead_monitor",
    )
    cured(looked, "vacuum", "sequence-near-its-end", "counted_id_seq")
    as_admin(looked, "DROP TABLE planted.counted")


def test_a_dangerous_setting_is_found_and_taken_back(looked: LiveStead) -> None:
    as_admin(looked, "ALTER SYSTEM SET autovacuum = off", "SELECT pg_reload_conf()")
    until(lambda: findings(inspect(looked, "settings"), "dangerous-setting"), "it is off", 20)
    cured(looked, "settings", "dangerous-setting", "autovacuum")
    as_admin(looked, "ALTER ROLE jeex_user IN DATABASE jeex_idea SET lock_timeout = 0")
    (found,) = findings(inspect(looked, "settings"), "protection-taken-away", "jeex_user")
    assert found["sql"] == ['ALTER ROLE "jeex_user" IN DATABASE "jeex_idea" RESET "lock_timeout"']
    cure(looked, found)
    assert findings(inspect(looked, "settings"), "protection-taken-away", "jeex_user") == []


def test_io_that_nobody_times_is_found(looked: LiveStead) -> None:
    as_admin(looked, "ALTER DATABASE jeex_idea SET track_io_timing = off")
    cured(looked, "io", "io-not-timed", "jeex_idea")


def test_a_statement_that_got_slower_is_shown_beside_its_own_past(looked: LiveStead) -> None:
    from pgstead.observe.statements import StatementWatch

    ports = looked.wired.ports.telemetry
    assert ports is not None
    slow = "SELECT count(*) FROM generate_series(1, %s) AS n, pg_sleep(%s)"
    as_admin(looked, "ALTER ROLE jeex_admin SET auto_explain.log_min_duration = '5ms'")
    watch = StatementWatch("jeex_idea", 18)
    windows = []
    try:
        with session(looked) as client, ports.monitor.connect("jeex_idea") as monitor:
            for pause in (0.001, 0.001, 0.001, 0.001, 0.02):
                for _ in range(12):
                    client.execute(slow, (10, pause))
                    client.rollback()
                windows += watch.look(monitor)
    finally:
        as_admin(looked, "ALTER ROLE jeex_admin RESET auto_explain.log_min_duration")
    own = [w for w in windows if "pg_sleep" in w.query]
    assert [w.counts.calls for w in own] == [12, 12, 12, 12]
    assert all("$1" in w.query for w in own)
    ports.store.write_statements(windows)
    said = inspect(looked, "queries")
    (found,) = findings(said, "slower-than-before", "pg_sleep")
    assert figures(found)["windows before"] == 3
    assert figures(found)["now"] > 2 * figures(found)["before (median)"]
    assert any(line.startswith("plan now") for line in found["detail"])
    assert any("over time" in table["title"] for table in said["tables"])
    shown = looked.run("inspect", "queries", "--since", "1h").stdout
    assert all(len(line) <= 80 for line in shown.splitlines() if " sql " not in line[:12])


def test_top_shows_once_what_is_done_and_leaves(looked: LiveStead) -> None:
    with session(looked) as connection:
        connection.execute("SELECT 'held open'")
        said = looked.json("top")
        (held,) = [s for s in said["sessions"] if "held open" in s["query"]]
        assert held["state"] == "idle in transaction"
        assert said["connections"]["used"] > 0
        assert {d["database"] for d in said["databases"]} >= {"jeex_idea", "postgres"}
        assert said["pools"]
        monitor = looked.wired.ports.telemetry
        assert monitor is not None
        watching = Watching(looked.wired.design, monitor.monitor)
        shown = lines("test", watching.look(), 80)
        watching.close()
    # where a session of a longer name is there too, 80 columns leave little of the statement
    assert any("idle in tx" in line and "SELECT" in line for line in shown)
    assert any(line.endswith("-") for line in shown)  # no rate after one look
    assert max(map(len, shown)) <= 80


def test_a_monitor_without_its_rights_is_said_and_nothing_is_taken_for_well(
    looked: LiveStead,
) -> None:
    as_admin(looked, "REVOKE pg_monitor FROM pgstead_monitor")
    try:
        said = inspect(looked, "queries")
        assert any("pg_monitor" in u["reason"] for u in said["unseen"])
        assert inspect(looked, "vacuum")["unseen"]
    finally:
        as_admin(looked, "GRANT pg_monitor TO pgstead_monitor")


def test_a_stopped_server_is_an_error_and_no_empty_answer(looked: LiveStead) -> None:
    supervisor = looked.wired.ports.supervisor
    supervisor.stop("postgres")
    try:
        for words in (("inspect", "locks"), ("top", "--once")):
            done = looked.run(*words, status=1)
            assert "asking the server failed" in done.stderr
            assert "pgstead up" in done.stderr
            assert done.stdout == ""
    finally:
        supervisor.start("postgres")
        until(looked.wired.ports.sql.answers, "it is back")
