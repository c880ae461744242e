"""Work of known size: each function does so much and no more of one thing."""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections.abc import Iterator

import httpx
import psycopg
import pytest
from psycopg import errors

from pgstead.errors import NotRunningError
from tests.fix_stead import LiveStead
from tests.waiting import until

COMMITS, ROLLBACKS, ROWS, UPDATED, DELETED = 300, 40, 1000, 250, 100
FETCHED, SCANS = 5000, 20
WAL = 4 << 20
KILLED = 3
DIVISIONS, WRONG_DIRECT, WRONG_POOLED = 7, 2, 3
POOLED, SENT = 50, 256 << 10
REQUESTS, REPEATED = 12, 4
OWN = "metric_truth"  # a database that nobody watches from inside, so its counters are exact


@contextlib.contextmanager
def database(stead: LiveStead) -> Iterator[None]:
    """Have a database of one's own, and a table of jeex_idea whose every second write fails."""
    with stead.superuser() as admin:
        admin.execute(f"CREATE DATABASE {OWN}".encode())
    with stead.superuser(OWN) as admin:
        admin.execute("CREATE TABLE work (n int PRIMARY KEY, other text)"
                      " WITH (autovacuum_enabled = off)")  # fmt: skip
    with stead.superuser("jeex_idea") as admin:
        admin.execute(_FAILING.encode())
    try:
        yield
    finally:
        with stead.superuser("jeex_idea") as admin:
            admin.execute("DROP TRIGGER metric_truth ON projects")
            admin.execute("DROP SCHEMA metric_truth CASCADE")
            admin.execute("DELETE FROM projects WHERE name = %s", [OWN])
            admin.execute("DELETE FROM users WHERE name = %s", [OWN])
        with stead.superuser() as admin:
            admin.execute(f"DROP DATABASE {OWN} (FORCE)".encode())


# A sequence is not rolled back, so the attempt after a failure is another one.
_FAILING = """
    CREATE SCHEMA metric_truth;
    CREATE SEQUENCE metric_truth.attempts;
    CREATE FUNCTION metric_truth.failing() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
    BEGIN
        IF nextval('metric_truth.attempts') % 2 = 1 THEN
            RAISE EXCEPTION 'once more' USING ERRCODE = 'serialization_failure';
        END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER metric_truth BEFORE INSERT ON projects
    FOR EACH ROW EXECUTE FUNCTION metric_truth.failing();
"""


def transactions(stead: LiveStead) -> None:
    """Commit, roll back, insert, update, delete, read; each as often as is known."""
    with stead.superuser(OWN) as session:
        session.execute("INSERT INTO work SELECT n, '' FROM generate_series(1, %s) n", [ROWS])
        session.execute("UPDATE work SET other = 'x' WHERE n <= %s", [UPDATED])
        session.execute("DELETE FROM work WHERE n > %s", [ROWS - DELETED])
        session.execute("SELECT pg_logical_emit_message(false, 'test', repeat('x', %s))", [WAL])
        session.execute("SET enable_bitmapscan = off; SET enable_seqscan = off")
        for _ in range(FETCHED // 500):
            session.execute("SELECT other FROM work WHERE n BETWEEN 301 AND 800")
        session.execute("RESET enable_seqscan; SET enable_indexscan = off")
        for _ in range(SCANS):
            session.execute("SELECT count(other) FROM work")
        for _ in range(COMMITS - 6 - FETCHED // 500 - SCANS):
            session.execute("SELECT")
        for _ in range(ROLLBACKS):
            with contextlib.suppress(errors.DivisionByZero):
                session.execute("SELECT 1 / 0")


def sort(stead: LiveStead) -> int:
    """Spill a sort to disk; return the bytes that the server says it took there."""
    with stead.superuser(OWN) as session:
        session.execute("SET work_mem = '64kB'")
        row = session.execute(
            "EXPLAIN (ANALYZE, FORMAT JSON) SELECT n FROM"
            " (SELECT generate_series(1, 200000) AS n) AS s ORDER BY -n"
        ).fetchone()
        session.execute("CHECKPOINT")
    plans = [row["QUERY PLAN"][0]["Plan"]]
    while plans:
        plan = plans.pop()
        plans += plan.get("Plans", [])
        if plan.get("Sort Space Type") == "Disk":
            return int(plan["Sort Space Used"]) * 1024
    raise AssertionError("nothing was sorted on disk")


def deadlock(stead: LiveStead) -> None:
    """Lock two rows crosswise."""
    with stead.superuser(OWN) as first, stead.superuser(OWN) as second:
        for session, n in ((first, 1), (second, 2)):
            session.execute("BEGIN")
            session.execute("UPDATE work SET other = 'y' WHERE n = %s", [n])
        crossing = threading.Thread(
            target=_suppressed, args=(first, "UPDATE work SET other = 'y' WHERE n = 2")
        )
        crossing.start()
        _suppressed(second, "UPDATE work SET other = 'y' WHERE n = 1")
        crossing.join()


def _suppressed(session: psycopg.Connection, statement: str) -> None:
    with contextlib.suppress(errors.DeadlockDetected):
        session.execute(statement.encode())
    session.rollback()


def killed(stead: LiveStead) -> None:
    """End sessions from outside."""
    with stead.superuser() as admin:
        for _ in range(KILLED):
            with contextlib.suppress(NotRunningError), stead.superuser(OWN) as victim:
                admin.execute("SELECT pg_terminate_backend(%s, 5000)", [victim.info.backend_pid])


def failures(stead: LiveStead) -> None:
    """Divide by zero, and come with a wrong password to either door."""
    with stead.connect("jeex_admin", direct=True) as session:
        for _ in range(DIVISIONS):
            with contextlib.suppress(errors.DivisionByZero):
                session.execute("SELECT 1 / 0")
    for direct, times in ((True, WRONG_DIRECT), (False, WRONG_POOLED)):
        for _ in range(times):
            with pytest.raises(psycopg.OperationalError):
                stead.connect("jeex_user", direct=direct, password="wrong")


def through_the_pooler(stead: LiveStead) -> None:
    """Send transactions, and one large statement, through the pooler."""
    with stead.connect("jeex_readonly") as session:
        for _ in range(POOLED - 1):
            session.execute("SELECT")
        session.execute(f"SELECT length('{'x' * SENT}')".encode())


def requests(stead: LiveStead) -> None:
    """Ask the service, then write with one retry for each request."""
    address = f"http://127.0.0.1:{stead.api_port}"
    with httpx.Client(base_url=address, timeout=30) as client:
        person = {"email": f"{uuid.uuid4()}@example.org", "name": OWN}
        key = client.post("/users", json=person).raise_for_status().json()["id"]
        client.headers["X-User-ID"] = key
        for _ in range(REQUESTS - 1):
            client.get("/users", headers={"Cache-Control": "no-cache"}).raise_for_status()
        for _ in range(REPEATED):
            project = {"name": OWN, "created_by": key}
            client.post("/projects", json=project).raise_for_status()


@contextlib.contextmanager
def waits_and_idles(stead: LiveStead) -> Iterator[None]:
    """Hold three sessions: one idle in a transaction, one that waits for it, one that sleeps."""
    with (
        stead.superuser(OWN) as idle,
        stead.superuser(OWN) as waiting,
        stead.superuser(OWN) as sleeping,
    ):
        idle.execute("BEGIN")
        idle.execute("LOCK TABLE work")
        threads = [
            threading.Thread(target=_broken_off, args=(waiting, "SELECT FROM work")),
            threading.Thread(target=_broken_off, args=(sleeping, "SELECT pg_sleep(60)")),
        ]
        for thread in threads:
            thread.start()
        until(lambda: _waits(stead) == 2, "two sessions that wait")
        try:
            yield
        finally:
            for session in (waiting, sleeping):
                session.cancel()
            for thread in threads:
                thread.join()


def _broken_off(session: psycopg.Connection, statement: str) -> None:
    with contextlib.suppress(psycopg.Error):
        session.execute(statement.encode())


def _waits(stead: LiveStead) -> int:
    with stead.superuser() as admin:
        row = admin.execute(
            "SELECT count(*) AS n FROM pg_stat_activity WHERE datname = %s"
            " AND state = 'active' AND wait_event_type IN ('Lock', 'Timeout')", [OWN],
        ).fetchone()  # fmt: skip
    return row["n"]
