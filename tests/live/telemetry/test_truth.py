"""Metrics against workloads of known size."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families
from psycopg import errors

from pgstead.model.telemetry import Sample
from tests.fix_stead import LiveStead
from tests.live.telemetry.seen import Key, after, health, newest, until

COMMITS, ROLLBACKS, ROWS, POOLED, REQUESTS = 300, 40, 1000, 50, 12
WAL = 1 << 20
# what the agent itself does meanwhile: each of its questions is a transaction
OWN = 150


@dataclass
class Measured:
    """What was seen before, during and after the workloads."""

    before: dict[Key, Sample]
    during: dict[Key, Sample]
    after: dict[Key, Sample]
    process: dict[str, float]

    def grown(self, metric: str, **attributes: str) -> float:
        """Return by how much a counter has grown."""
        key = (metric, tuple(sorted(attributes.items())))
        first, last = self.before.get(key), self.after[key]
        assert last.value is not None, last.reason
        return last.value - (first.value or 0 if first is not None else 0)

    def held(self, metric: str, **attributes: str) -> float:
        """Return a gauge as it was while sessions were held open."""
        found = self.during[(metric, tuple(sorted(attributes.items())))]
        assert found.value is not None, found.reason
        return found.value


@pytest.fixture(scope="module")
def measured(sampled: LiveStead) -> Iterator[Measured]:
    """Do all workloads between two looks of the agent."""
    with sampled.superuser("jeex_idea") as admin:
        admin.execute("CREATE TABLE workload (n int PRIMARY KEY, other text)")
        admin.execute("GRANT ALL ON workload TO jeex_admin")
    try:
        before, asked = after(sampled, 1.5), own_count(sampled)
        with waits_and_idles(sampled):
            during = after(sampled)
        transactions(sampled)
        sorts_and_deadlocks(sampled)
        through_the_pooler(sampled)
        requests(sampled)
        # a session tells its numbers at its end, or a second after a statement
        found = after(sampled, 1.5)
        told = {"requests": own_count(sampled) - asked}
        yield Measured(before, during, found, told)
    finally:
        with sampled.superuser("jeex_idea") as admin:
            admin.execute("DROP TABLE workload")


def transactions(stead: LiveStead) -> None:
    """Commit, roll back, insert, update, delete; each as often as is known."""
    with stead.connect("jeex_admin", direct=True) as session:
        for _ in range(COMMITS - 4):
            session.execute("SELECT")
        session.execute("INSERT INTO workload SELECT n, '' FROM generate_series(1, %s) n", [ROWS])
        session.execute("UPDATE workload SET other = 'x' WHERE n <= 250")
        session.execute("DELETE FROM workload WHERE n > 900")
        session.execute("SELECT pg_logical_emit_message(false, 'test', repeat('x', %s))", [WAL])
        for _ in range(ROLLBACKS):
            with contextlib.suppress(errors.DivisionByZero):
                session.execute("SELECT 1 / 0")


def sorts_and_deadlocks(stead: LiveStead) -> None:
    """Spill a sort to disk, lock two rows crosswise, ask for a checkpoint."""
    with stead.superuser("jeex_idea") as admin:
        admin.execute("SET work_mem = '64kB'")
        admin.execute("SELECT count(*) FROM (SELECT n FROM generate_series(1, 200000) n"
                      " ORDER BY -n OFFSET 0) AS s")  # fmt: skip
        admin.execute("CHECKPOINT")
    first, second = (stead.connect("jeex_admin", direct=True) for _ in range(2))
    with first, second:
        for session, n in ((first, 1), (second, 2)):
            session.execute("BEGIN")
            session.execute("SET LOCAL lock_timeout = 0")
            session.execute("UPDATE workload SET other = 'y' WHERE n = %s", [n])
        crossing = threading.Thread(
            target=suppressed, args=(first, "UPDATE workload SET other = 'y' WHERE n = 2")
        )
        crossing.start()
        suppressed(second, "UPDATE workload SET other = 'y' WHERE n = 1")
        crossing.join()


def suppressed(session: psycopg.Connection, statement: str) -> None:
    """Run a statement that may be the victim of a deadlock."""
    with contextlib.suppress(errors.DeadlockDetected):
        session.execute(statement.encode())
    session.rollback()


def through_the_pooler(stead: LiveStead) -> None:
    with stead.connect("jeex_user") as session:
        for _ in range(POOLED):
            session.execute("SELECT")


def requests(stead: LiveStead) -> None:
    asking = {"X-User-ID": "8b0f5bb4-7a0f-4a7e-8b6c-9b60e3f1fd24"}
    with httpx.Client(base_url=f"http://127.0.0.1:{stead.api_port}", headers=asking) as client:
        for _ in range(REQUESTS):
            client.get("/users", headers={"Cache-Control": "no-cache"}).raise_for_status()


def own_count(stead: LiveStead) -> float:
    """Return how often the service has taken a connection from its pool."""
    text = httpx.get(f"http://127.0.0.1:{stead.api_port}/metrics?only=process").text
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "db_client_connection_wait_time_seconds_count"
    )


@contextlib.contextmanager
def waits_and_idles(stead: LiveStead) -> Iterator[None]:
    """Hold three sessions: one idle in a transaction, one that waits for it, one that sleeps."""
    idle, waiting, sleeping = (stead.connect("jeex_admin", direct=True) for _ in range(3))
    with idle, waiting, sleeping:
        idle.execute("BEGIN")
        idle.execute("LOCK TABLE workload")
        waiting.execute("SET lock_timeout = 0")
        threads = [
            threading.Thread(target=broken_off, args=(waiting, "SELECT FROM workload")),
            threading.Thread(target=broken_off, args=(sleeping, "SELECT pg_sleep(60)")),
        ]
        for thread in threads:
            thread.start()
        until(lambda: waits(stead) == 2, "two sessions that wait")
        try:
            yield
        finally:
            for session in (waiting, sleeping):
                session.cancel()
            for thread in threads:
                thread.join()


def broken_off(session: psycopg.Connection, statement: str) -> None:
    with contextlib.suppress(psycopg.Error):
        session.execute(statement.encode())


def waits(stead: LiveStead) -> int:
    with stead.superuser() as admin:
        row = admin.execute(
            "SELECT count(*) AS n FROM pg_stat_activity WHERE usename = 'jeex_admin'"
            " AND state = 'active' AND wait_event IS NOT NULL"
        ).fetchone()
    return row["n"]


HERE = {"datname": "jeex_idea"}
DATABASE = "pg_stat_database"
GROWN = [
    (f"{DATABASE}_xact_commit_total", HERE, COMMITS, COMMITS + OWN),
    (f"{DATABASE}_xact_rollback_total", HERE, ROLLBACKS, ROLLBACKS + 4),
    (f"{DATABASE}_tup_inserted_total", HERE, ROWS, ROWS),
    (f"{DATABASE}_tup_updated_total", HERE, 250 + 3, 250 + 4),
    (f"{DATABASE}_tup_deleted_total", HERE, 100, 100),
    (f"{DATABASE}_deadlocks_total", HERE, 1, 1),
    (f"{DATABASE}_temp_files_total", HERE, 1, 4),
    (f"{DATABASE}_temp_bytes_total", HERE, 2e6, 8e6),
    ("pg_wal_lsn_bytes_total", {}, WAL, WAL + 1.5e6),
    ("pg_stat_checkpointer_num_requested_total", {}, 1, 1),
    ("pg_stat_statements_calls_total", HERE, COMMITS, COMMITS + OWN + 200),
    ("pgbouncer_stats_sql_transactions_pooled_total", {"database": "jeex_idea"},
     POOLED, POOLED + 4 * REQUESTS),
]  # fmt: skip


@pytest.mark.parametrize(("metric", "where", "low", "high"), GROWN, ids=[g[0] for g in GROWN])
def test_a_counter_grows_by_the_work_that_was_done(
    measured: Measured, metric: str, where: dict[str, str], low: float, high: float
) -> None:
    assert low <= measured.grown(metric, **where) <= high


def test_a_gauge_tells_of_sessions_while_they_are_held(measured: Measured) -> None:
    assert measured.held("pg_idle_in_transaction_count") == 1
    assert measured.held("pg_idle_in_transaction_max_seconds") > 0
    assert measured.held("pg_blocked_backends") == 1
    assert measured.held("pg_blocked_max_seconds") > 0
    assert measured.held("pg_statement_max_seconds") > 0
    assert measured.held("pg_backends_waiting", wait_event_type="Lock") == 1
    assert measured.held("pg_backends_waiting", wait_event_type="Timeout") == 1
    assert measured.held("pg_stat_activity_count", datname="jeex_idea", state="active") >= 2


def test_the_service_counts_each_connection_that_it_takes_from_its_pool(
    measured: Measured,
) -> None:
    assert measured.process["requests"] == REQUESTS


def test_what_is_not_known_has_a_reason_and_no_value(sampled: LiveStead) -> None:
    found = newest(sampled)
    unknown = [s for s in found.values() if s.value is None]
    assert unknown
    assert all(s.reason for s in unknown)
    text = httpx.get(f"http://127.0.0.1:{sampled.api_port}/metrics").text
    shown = {s.name for f in text_string_to_metric_families(text) for s in f.samples}
    names = {s.metric for s in unknown} - {s.metric for s in found.values() if s.value is not None}
    assert names
    assert not names & shown


def test_a_stranger_gets_neither_metrics_nor_details(sampled: LiveStead) -> None:
    stranger = {"X-Forwarded-For": "203.0.113.7"}
    address = f"http://127.0.0.1:{sampled.api_port}"
    assert httpx.get(f"{address}/metrics", headers=stranger).status_code == 403
    assert list(httpx.get(f"{address}/health/db", headers=stranger).json()) == ["status"]
    assert health(sampled).json()["checks"]
