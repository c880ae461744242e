"""Faults of what is stored, of backups, and of the machine below."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path

import psycopg

from pgstead.host import clock, processes
from pgstead.host.certificates import CertificateStore
from tests.fix_stead import LiveStead
from tests.live.alerts.faults import MESSAGE, does

TRANSACTIONS = 20_000
FILES = 20_000
MEMORY = DISK = 0.025  # of all of it
LIFE = timedelta(days=394)  # of the 397 that a certificate has


@contextmanager
def used_up_transactions(stead: LiveStead) -> Iterator[None]:
    _use_up(stead)
    try:
        yield
    finally:
        _freeze(stead)


@contextmanager
def old_snapshot(stead: LiveStead) -> Iterator[None]:
    with stead.superuser("jeex_idea") as session:
        session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        session.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        session.execute("SELECT 1")
        _use_up(stead)
        yield
        session.execute("ROLLBACK")


def _use_up(stead: LiveStead) -> None:
    """Take a transaction id for each of many subtransactions: those that write get one."""
    does(
        stead,
        "CREATE TEMPORARY TABLE burnt (n int)",
        f"DO $$ BEGIN FOR i IN 1..{TRANSACTIONS} LOOP"
        " BEGIN INSERT INTO burnt VALUES (i); EXCEPTION WHEN division_by_zero THEN NULL; END;"
        " END LOOP; END $$",
    )


@contextmanager
def used_up_multixacts(stead: LiveStead) -> Iterator[None]:
    """Lock each of many rows twice by a transaction and a subtransaction of its own."""
    does(
        stead,
        f"CREATE TABLE shared AS SELECT n FROM generate_series(1, {TRANSACTIONS}) AS n",
        "CREATE INDEX ON shared (n)",
        "DO $$ BEGIN PERFORM FROM shared FOR KEY SHARE;"
        f" FOR i IN 1..{TRANSACTIONS} LOOP BEGIN"
        " UPDATE shared SET n = -n WHERE n = i; EXCEPTION WHEN division_by_zero THEN NULL; END;"
        " END LOOP; END $$",
    )
    try:
        yield
    finally:
        does(stead, "DROP TABLE shared")
        _freeze(stead)


def _freeze(stead: LiveStead) -> None:
    allow = "ALTER DATABASE template0 ALLOW_CONNECTIONS"
    does(stead, f"{allow} true")
    with stead.superuser() as admin:
        names = [r["datname"] for r in admin.execute("SELECT datname FROM pg_database").fetchall()]
    for name in names:
        with stead.superuser(name) as session:
            session.execute("SET statement_timeout = 0")
            session.execute("VACUUM (FREEZE)")
    does(stead, f"{allow} false")


@contextmanager
def damaged_page(stead: LiveStead) -> Iterator[None]:
    """Write garbage into a page that no buffer has: of a database that was copied by files."""
    does(stead, "CREATE DATABASE damaged TEMPLATE template0 STRATEGY file_copy")
    try:
        with stead.superuser("damaged") as session:
            found = session.execute("SELECT pg_relation_filepath('pg_description') AS path")
            path = Path(stead.wired.design.layout.data, found.fetchone()["path"])
            with path.open("r+b") as file:
                file.seek(512)
                file.write(b"garbage" * 64)
            with contextlib.suppress(psycopg.errors.DataCorrupted):
                session.execute("SELECT count(*) FROM pg_description")
        yield
    finally:
        does(stead, "DROP DATABASE damaged")


@contextmanager
def silent_receiver(stead: LiveStead) -> Iterator[None]:
    """Stop who receives the WAL (SIGSTOP), and write some."""
    receiver = stead.wired.ports.supervisor.states()["wal-receiver"].pid
    assert receiver is not None
    family = {p.pid: p for p in processes.everyone()}
    stopped = [p.pid for p in family.values() if processes.descends(p, receiver, family)]
    for pid in (receiver, *stopped):
        os.kill(pid, signal.SIGSTOP)
    try:
        does(stead, *[MESSAGE] * 6)
        yield
    finally:
        for pid in (receiver, *stopped):
            os.kill(pid, signal.SIGCONT)


@contextmanager
def failing_archive(stead: LiveStead) -> Iterator[None]:
    archives = "ALTER SYSTEM SET archive_command = '/bin/{}'"
    segment = ("SELECT pg_logical_emit_message(true, 'test', 'x')", "SELECT pg_switch_wal()")
    does(stead, "ALTER SYSTEM SET archive_mode = on", archives.format("false"))
    stead.wired.ports.supervisor.restart("postgres")
    does(stead, *segment)
    try:
        yield
    finally:
        does(stead, archives.format("true"), "SELECT pg_reload_conf()", *segment)


@contextmanager
def full_disk(stead: LiveStead) -> Iterator[None]:
    told = os.statvfs(stead.state)
    usable = (told.f_blocks - told.f_bfree + told.f_bavail) * told.f_frsize
    path = stead.directory / "ballast"
    with path.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, int(usable * DISK))
    try:
        yield
    finally:
        path.unlink()


def inodes(stead: LiveStead) -> float:
    """Return the share of all inodes that the many files are."""
    return FILES / os.statvfs(stead.state).f_files


@contextmanager
def many_files(stead: LiveStead) -> Iterator[None]:
    place = stead.directory / "crumbs"
    place.mkdir()
    try:
        for number in range(FILES):
            os.close(os.open(f"{place}/{number}", os.O_CREAT | os.O_WRONLY))
        yield
    finally:
        shutil.rmtree(place)


@contextmanager
def full_memory(stead: LiveStead) -> Iterator[None]:
    telemetry = stead.wired.ports.telemetry
    assert telemetry is not None
    (limit,) = (s.value for s in telemetry.vitals.look(slow=False)
                if s.metric == "pgstead_memory_limit_bytes")  # fmt: skip
    assert limit is not None
    held = b"x" * int(limit * MEMORY)
    try:
        yield
    finally:
        del held


@contextmanager
def short_certificate(stead: LiveStead) -> Iterator[None]:
    """Have the server show a certificate that was made long ago."""
    wired = stead.wired
    store = CertificateStore(
        wired.design.layout,
        owner=wired.survey.ground.host.server_user,
        now=lambda: clock.now() - LIFE,
    )
    wanted = store.inspect("server")
    assert wanted is not None
    store.issue(wanted)
    does(stead, "SELECT pg_reload_conf()")
    try:
        yield
    finally:
        wired.ports.certificates.issue(wanted)
        does(stead, "SELECT pg_reload_conf()")


@contextmanager
def no_backup(stead: LiveStead) -> Iterator[None]:
    """Let the last one grow old; then make one."""
    yield
    stead.run("backup", "now")


@contextmanager
def no_drill(stead: LiveStead) -> Iterator[None]:
    """Let the last one grow old; then do one."""
    yield
    stead.run("drill")


@contextmanager
def locked_samples(stead: LiveStead) -> Iterator[None]:
    """Keep everybody from writing down what is seen."""
    plan = stead.wired.design.telemetry
    assert plan is not None
    with closing(sqlite3.connect(plan.samples, isolation_level=None, timeout=30)) as opened:
        opened.execute("BEGIN IMMEDIATE")
        yield
        opened.execute("ROLLBACK")
