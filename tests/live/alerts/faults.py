"""Faults of sessions, tables and programs, each as something that is done and undone."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import psycopg

from tests.fix_stead import LiveStead
from tests.waiting import until

DATABASE = "jeex_idea"
MESSAGE = "SELECT pg_logical_emit_message(false, 'test', repeat('x', 8388608))"  # 8 MB of WAL
MANY = 40  # sessions


def does(stead: LiveStead, *statements: str) -> None:
    """Run statements as superuser in the database."""
    with stead.superuser(DATABASE) as admin:
        for statement in statements:
            admin.execute(statement.encode())


@contextmanager
def idle(stead: LiveStead) -> Iterator[None]:
    # the administrator's role may have few sessions, and other faults hold them
    with stead.superuser(DATABASE) as session:
        session.execute("BEGIN")
        session.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        yield


@contextmanager
def blocked(stead: LiveStead) -> Iterator[None]:
    """One session holds a lock that another waits for, as long as a statement can run."""
    with (
        stead.connect("jeex_admin", direct=True) as holder,
        stead.connect("jeex_admin", direct=True) as waiter,
    ):
        holder.execute("BEGIN")
        holder.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        holder.execute("SELECT pg_advisory_xact_lock(77)")
        waiter.execute("SET lock_timeout = 0")
        waiter.execute("SET statement_timeout = 0")

        def waiting() -> None:
            with contextlib.suppress(psycopg.Error):
                waiter.execute("SELECT pg_advisory_lock(77)")

        thread = threading.Thread(target=waiting)
        thread.start()
        try:
            until(lambda: waits(stead, waiter), "the session waits for the lock")
            yield
        finally:
            waiter.cancel()
            thread.join()


def waits(stead: LiveStead, session: psycopg.Connection) -> bool:
    """Say whether a session, which is not one of the pooler's, waits for a lock."""
    with stead.superuser() as admin:
        found = admin.execute(
            "SELECT FROM pg_stat_activity WHERE pid = %s AND wait_event_type = 'Lock'",
            [session.info.backend_pid],
        )
        return found.fetchone() is not None


@contextmanager
def prepared(stead: LiveStead) -> Iterator[None]:
    does(stead, "BEGIN", "CREATE TABLE forgotten (n int)", "PREPARE TRANSACTION 'forgotten'")
    try:
        yield
    finally:
        does(stead, "ROLLBACK PREPARED 'forgotten'")


@contextmanager
def many_locks(stead: LiveStead) -> Iterator[None]:
    with stead.superuser(DATABASE) as admin:
        admin.execute("BEGIN")
        admin.execute("SELECT pg_advisory_xact_lock(n) FROM generate_series(10001, 12500) AS n")
        yield


@contextmanager
def slot(stead: LiveStead) -> Iterator[None]:
    does(
        stead,
        "SELECT pg_create_physical_replication_slot('nobody', true)",
        *[MESSAGE] * 6,
    )
    try:
        yield
    finally:
        does(stead, "SELECT pg_drop_replication_slot('nobody')")


@contextmanager
def pending(stead: LiveStead) -> Iterator[None]:
    does(stead, "ALTER SYSTEM SET max_worker_processes = 37", "SELECT pg_reload_conf()")
    try:
        yield
    finally:
        does(stead, "ALTER SYSTEM RESET max_worker_processes", "SELECT pg_reload_conf()")


@contextmanager
def plaintext(stead: LiveStead) -> Iterator[None]:
    rules = stead.state / "server" / "pg_hba.conf"
    before = rules.read_text()
    rules.write_text(f"host all jeex_admin 127.0.0.1/32 scram-sha-256\n{before}")
    try:
        does(stead, "SELECT pg_reload_conf()", "SELECT pg_sleep(0.3)")
        with stead.connect("jeex_admin", direct=True, sslmode="disable", sslrootcert=""):
            yield
    finally:
        rules.write_text(before)
        does(stead, "SELECT pg_reload_conf()")


@contextmanager
def rollbacks(stead: LiveStead) -> Iterator[None]:
    many = "DO $$ BEGIN FOR i IN 1..{} LOOP {}; END LOOP; END $$"
    does(stead, many.format(700, "ROLLBACK"))
    yield
    does(stead, many.format(100, "COMMIT"))


@contextmanager
def invalid_index(stead: LiveStead) -> Iterator[None]:
    does(stead, "CREATE TABLE doubles AS SELECT 1 AS n FROM generate_series(1, 2)")
    try:
        with contextlib.suppress(psycopg.errors.UniqueViolation):
            does(stead, "CREATE UNIQUE INDEX CONCURRENTLY ON doubles (n)")
        yield
    finally:
        does(stead, "DROP TABLE doubles")


@contextmanager
def sequence(stead: LiveStead) -> Iterator[None]:
    # by the owner, as a migration does: who looks must be able to without being asked
    does(
        stead,
        "SET ROLE jeex_owner",
        "CREATE SEQUENCE scarce AS smallint",
        "SELECT setval('scarce', 32000)",
    )
    try:
        yield
    finally:
        does(stead, "DROP SEQUENCE scarce")


@contextmanager
def deadlocks(stead: LiveStead) -> Iterator[None]:
    for _ in range(7):
        _deadlock(stead)
    yield


@contextmanager
def refusals(stead: LiveStead) -> Iterator[None]:
    for _ in range(12):
        with stead.connect() as session, suppress(psycopg.Error):
            session.execute("SELECT 1 FROM pg_authid")
        with suppress(psycopg.Error):
            stead.connect("jeex_readonly", password="wrong")
    yield


def _deadlock(stead: LiveStead) -> None:
    with stead.superuser(DATABASE) as first, stead.superuser(DATABASE) as second:
        for session, own in ((first, 1), (second, 2)):
            session.execute("SET deadlock_timeout = '10ms'")
            session.execute("BEGIN")
            session.execute("SET LOCAL lock_timeout = 0")
            session.execute("SELECT pg_advisory_xact_lock(%s)", [own])

        def crossing(session: psycopg.Connection, other: int) -> None:
            with contextlib.suppress(psycopg.errors.DeadlockDetected):
                session.execute("SELECT pg_advisory_xact_lock(%s)", [other])
            session.execute("ROLLBACK")

        thread = threading.Thread(target=crossing, args=(first, 2))
        thread.start()
        crossing(second, 1)
        thread.join()


@contextmanager
def checkpoints(stead: LiveStead) -> Iterator[None]:
    for _ in range(8):
        does(stead, "SELECT pg_logical_emit_message(true, 'test', 'x')", "CHECKPOINT")
    yield


@contextmanager
def stopped(stead: LiveStead, program: str) -> Iterator[None]:
    supervisor = stead.wired.ports.supervisor
    supervisor.stop(program)
    try:
        yield
    finally:
        supervisor.start(program)


@contextmanager
def unprivileged(stead: LiveStead) -> Iterator[None]:
    monitor = stead.wired.design.monitor_role
    does(stead, f"REVOKE pg_monitor FROM {monitor}")
    try:
        yield
    finally:
        does(stead, f"GRANT pg_monitor TO {monitor}")


@contextmanager
def crash(stead: LiveStead) -> Iterator[None]:
    # memory that was made within seconds of the start is that of the start
    up = "SELECT pg_sleep_until(pg_postmaster_start_time() + '7s')"
    does(stead, "SET statement_timeout = 0", up)
    with stead.superuser() as admin, contextlib.suppress(psycopg.OperationalError):
        row = admin.execute("SELECT pg_backend_pid() AS pid").fetchone()
        os.kill(row["pid"], signal.SIGKILL)
        admin.execute("SELECT 1")
    yield


@contextmanager
def slow_probe(stead: LiveStead) -> Iterator[None]:
    """Stop the sampler's sessions now and then, for longer than a probe may take."""
    ended = threading.Event()

    def sampling() -> list[int]:
        with stead.superuser() as admin:
            found = admin.execute(
                "SELECT pid FROM pg_stat_activity WHERE application_name = 'pgstead sampler'"
                " AND datname = 'jeex_idea'"
            )
            return [row["pid"] for row in found.fetchall()]

    def stopping() -> None:
        while not ended.wait(0.3):
            pids = sampling()
            told(pids, signal.SIGSTOP)
            ended.wait(1.5)
            told(pids, signal.SIGCONT)

    def told(pids: list[int], sign: signal.Signals) -> None:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, sign)

    thread = threading.Thread(target=stopping)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextmanager
def many_sessions(stead: LiveStead) -> Iterator[None]:
    with ExitStack() as stack:
        for _ in range(MANY):
            stack.enter_context(stead.superuser(DATABASE))
        yield


@contextmanager
def many_clients(stead: LiveStead) -> Iterator[None]:
    """Be connected to the pooler, and want no server of it."""
    with ExitStack() as stack:
        for _ in range(MANY):
            stack.enter_context(stead.connect())
        yield


@contextmanager
def full_pool(stead: LiveStead) -> Iterator[None]:
    """Begin more transactions at once than the pool has connections, and wait for no answer."""
    with ExitStack() as stack:
        clients = [stack.enter_context(stead.connect()) for _ in range(MANY)]
        for client in clients:
            client.pgconn.send_query(b"BEGIN")
        try:
            yield
        finally:
            for client in clients:
                client.pgconn.finish()


@contextmanager
def little_kept_for_slots(stead: LiveStead) -> Iterator[None]:
    setting = "max_slot_wal_keep_size"
    does(
        stead,
        f"ALTER SYSTEM SET {setting} = '512MB'",
        "SELECT pg_reload_conf()",
        "SELECT pg_create_physical_replication_slot('nobody', true)",
    )
    try:
        yield
    finally:
        does(
            stead,
            "SELECT pg_drop_replication_slot('nobody')",
            f"ALTER SYSTEM RESET {setting}",
            "SELECT pg_reload_conf()",
        )


@contextmanager
def spilling(stead: LiveStead) -> Iterator[None]:
    """Have a cursor keep a gigabyte that does not fit into work_mem."""
    does(
        stead,
        "SET temp_file_limit = -1",
        "SET work_mem = '64kB'",
        "SET statement_timeout = 0",
        "BEGIN",
        "DECLARE kept CURSOR WITH HOLD FOR"
        " SELECT repeat('x', 1000000) FROM generate_series(1, 1200)",
        "COMMIT",
        "CLOSE kept",
    )
    yield
