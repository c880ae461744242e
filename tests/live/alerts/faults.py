"""The fault of each rule, as something that is done and undone."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from types import MappingProxyType

import psycopg

from tests.fix_stead import LiveStead

DATABASE = "jeex_idea"
Fault = Callable[[LiveStead], AbstractContextManager[None]]


def does(stead: LiveStead, *statements: str) -> None:
    """Run statements as superuser in the database."""
    with stead.superuser(DATABASE) as admin:
        for statement in statements:
            admin.execute(statement.encode())


@contextmanager
def idle(stead: LiveStead) -> Iterator[None]:
    with stead.connect("jeex_admin", direct=True) as session:
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
            yield
        finally:
            waiter.cancel()
            thread.join()


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
        "SELECT pg_logical_emit_message(false, 'test', repeat('x', 8388608))",
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
    does(stead, *[many.format(1000, "COMMIT")] * 8)


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
    monitor = stead.wired.design.monitor_role
    does(
        stead,
        "CREATE SEQUENCE scarce AS smallint",
        f"GRANT SELECT ON SEQUENCE scarce TO {monitor}",
        "SELECT setval('scarce', 32000)",
    )
    try:
        yield
    finally:
        does(stead, "DROP SEQUENCE scarce")


@contextmanager
def deadlocks(stead: LiveStead) -> Iterator[None]:
    # the administrator's role may have few sessions, and other faults hold them
    first, second = (stead.superuser(DATABASE) for _ in range(2))
    with first, second:
        for session, own in ((first, 1), (second, 2)):
            session.execute("BEGIN")
            session.execute("SET LOCAL lock_timeout = 0")
            session.execute("SELECT pg_advisory_xact_lock(%s)", [own])

        def crossing(session: psycopg.Connection, other: int) -> None:
            with contextlib.suppress(psycopg.errors.DeadlockDetected):
                session.execute("SELECT pg_advisory_xact_lock(%s)", [other])
            session.rollback()

        thread = threading.Thread(target=crossing, args=(first, 2))
        thread.start()
        crossing(second, 1)
        thread.join()
    yield


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
    import os
    import signal

    with stead.superuser() as admin:
        row = admin.execute("SELECT pg_backend_pid() AS pid").fetchone()
        os.kill(row["pid"], signal.SIGKILL)
    yield


# What may happen at one time; the alerts of each are told apart by their names.
TOGETHER: Mapping[Fault, tuple[str, ...]] = MappingProxyType({
    # the first: it waits for the snapshots of all others
    invalid_index: ("IndexInvalid",),
    idle: ("IdleInTransaction", "IdleInTransactionCritical", "TransactionOld",
           "TransactionOldCritical"),
    blocked: ("Blocked", "BlockedCritical", "StatementOld", "StatementOldCritical"),
    prepared: ("PreparedTransactionOld", "PreparedTransactionOldCritical"),
    many_locks: ("LockTableFull", "LockTableFullCritical"),
    slot: ("SlotInactive", "SlotRetains", "SlotRetainsCritical"),
    pending: ("PendingRestart",),
    plaintext: ("PlaintextSession",),
    rollbacks: ("RollbackRate",),
    sequence: ("SequenceEnds", "SequenceEndsCritical"),
})  # fmt: skip
# Rules that look at what happened in a span: they are over when it has passed.
SPANS: Mapping[Fault, tuple[str, float]] = MappingProxyType({
    deadlocks: ("Deadlocks", 600.0),
    checkpoints: ("CheckpointsRequested", 1800.0),
})  # fmt: skip
ALONE: Mapping[str, Fault] = MappingProxyType({
    "PoolerDown": lambda stead: stopped(stead, "pgbouncer"),
    "ChecksUnknown": unprivileged,
    "ServerDown": lambda stead: stopped(stead, "postgres"),
})  # fmt: skip
EVERY = tuple(name for names in TOGETHER.values() for name in names)
