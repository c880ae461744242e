"""Faults that health has to tell of, each done and undone on a real stead."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.fix_stead import LiveStead
from tests.live.alerts.faults import blocked, does, idle, slot, stopped, waits
from tests.live.freezing import frozen
from tests.live.telemetry.test_health import hanging
from tests.waiting import until

WRONG = "Sesam9-is-wrong"


@dataclass(frozen=True)
class Fault:
    """A fault, and what has to be told of it."""

    name: str
    happens: Callable[[LiveStead], AbstractContextManager[None]]
    check: str
    level: str
    status: int  # of /health/db
    ready: int  # of /health/ready
    alert: str
    serious_after: float = 0.0  # seconds until its threshold is passed
    looks: int = 2
    known: bool = True  # the check has a value
    swift: bool = True  # `pgstead status` waits for nobody


@contextmanager
def full_pool(stead: LiveStead) -> Iterator[None]:
    """All connections of the application's pool are held by transactions that go on."""
    waiter = stead.connect()

    def waiting() -> None:
        with contextlib.suppress(psycopg.Error), waiter:
            waiter.execute("SELECT 1")

    thread = threading.Thread(target=waiting)
    try:
        with ExitStack() as stack:
            for _ in range(3):
                holder = stack.enter_context(stead.connect())
                holder.execute("BEGIN")
                holder.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
            thread.start()
            pools = stead.wired.ports.console.rows
            until(
                lambda: any(int(pool["cl_waiting"] or 0) for pool in pools("SHOW POOLS")),
                "a client waits for a connection",
            )
            yield
    finally:
        thread.join()


@contextmanager
def lock_chain(stead: LiveStead) -> Iterator[None]:
    """One waits for whom another waits for."""
    with blocked(stead), stead.superuser("jeex_idea") as second:

        def waiting() -> None:
            with contextlib.suppress(psycopg.Error):
                second.execute("SET lock_timeout = 0")
                second.execute("SELECT pg_advisory_lock(77)")

        thread = threading.Thread(target=waiting)
        thread.start()
        try:
            until(lambda: waits(stead, second), "the second waits too")
            yield
        finally:
            second.cancel()
            thread.join()


@contextmanager
def secret(stead: LiveStead, role: str, text: str | None) -> Iterator[None]:
    """Have a role's file hold something else, or be missing, when it connects next."""
    path = stead.state / "secrets" / role
    before = path.read_text()
    aside = path.with_name(f".{role}.aside")
    path.rename(aside)
    if text is not None:
        path.write_text(f"{text}\n")
        path.chmod(0o600)
    try:
        does(stead, ended(role))
        yield
    finally:
        path.unlink(missing_ok=True)
        aside.rename(path)
        assert path.read_text() == before


def ended(role: str) -> str:
    """Return the statement that ends a role's sessions."""
    return f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'"


def wrong_password(stead: LiveStead) -> AbstractContextManager[None]:
    return secret(stead, stead.wired.design.monitor_role, WRONG)


@contextmanager
def wrong_password_of_the_application(stead: LiveStead) -> Iterator[None]:
    """Somebody has given the application's role another password, and ended its sessions."""
    for program in ("pgbouncer",):  # what is logged in already stays so
        does(stead, f"ALTER ROLE jeex_user PASSWORD '{WRONG}'", ended("jeex_user"))
        stead.wired.ports.supervisor.restart(program)
    try:
        yield
    finally:
        does(stead, f"ALTER ROLE jeex_user PASSWORD '{stead.password('jeex_user')}'")


@contextmanager
def failing_archiver(stead: LiveStead) -> Iterator[None]:
    """The server archives, and its command fails."""
    supervisor = stead.wired.ports.supervisor
    does(
        stead,
        "ALTER SYSTEM SET archive_mode = on",
        "ALTER SYSTEM SET archive_command = '/bin/true'",
    )
    supervisor.restart("postgres")
    try:
        does(
            stead,
            "ALTER SYSTEM SET archive_command = '/bin/false'",
            "SELECT pg_reload_conf()",
            "SELECT pg_sleep(0.3)",
            "SELECT pg_logical_emit_message(true, 'test', 'x')",
            "SELECT pg_switch_wal()",
        )
        yield
        does(stead, "ALTER SYSTEM SET archive_command = '/bin/true'", "SELECT pg_reload_conf()")
        until(lambda: not failing(stead), "the archiver has caught up")
    finally:
        does(stead, "ALTER SYSTEM RESET ALL")
        supervisor.restart("postgres")


def failing(stead: LiveStead) -> bool:
    with stead.superuser() as admin:
        row = admin.execute(
            "SELECT last_archived_time > last_failed_time AS well FROM pg_stat_archiver"
        ).fetchone()
    return not row["well"]


@contextmanager
def short_certificate(stead: LiveStead) -> Iterator[None]:
    """The server shows a certificate that ends in three days."""
    tls = stead.state / "tls"
    path = tls / "server.crt"
    before = path.read_bytes()
    found = x509.load_pem_x509_certificate(before)
    ca = x509.load_pem_x509_certificate((tls / "ca.crt").read_bytes())
    key = serialization.load_pem_private_key((tls / "ca.key").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(found.subject)
        .issuer_name(ca.subject)
        .public_key(found.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=3))
    )
    for extension in found.extensions:
        made = made.add_extension(extension.value, extension.critical)
    signed = made.sign(key, hashes.SHA256())
    path.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    try:
        does(stead, "SELECT pg_reload_conf()")
        yield
    finally:
        path.write_bytes(before)
        does(stead, "SELECT pg_reload_conf()")


@contextmanager
def full_disk(stead: LiveStead) -> Iterator[None]:
    """WAL lies on a small file system of its own, which is nearly full."""
    wal = stead.state / "server" / "data" / "pg_wal"
    size = sum(p.stat().st_size for p in wal.rglob("*") if p.is_file()) * 2 + (64 << 20)
    with small_disk(stead.directory / "small", size) as small, moved(stead, wal, small / "pg_wal"):
        used = shutil.disk_usage(small)
        ballast = small / "ballast"
        ballast.write_bytes(b"x" * int(used.free - used.total * 0.06))
        yield
        ballast.unlink()


@contextmanager
def small_disk(place: Path, size: int) -> Iterator[Path]:
    """Mount one of some bytes."""
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "tmpfs", str(place)]
    mounted = not subprocess.run(mount, check=False, capture_output=True).returncode
    try:
        if not mounted:
            pytest.skip("nothing may be mounted here")
        yield place
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(place)], check=True)
        place.rmdir()


@contextmanager
def moved(stead: LiveStead, wal: Path, there: Path) -> Iterator[None]:
    """Have WAL lie elsewhere for a while."""
    supervisor = stead.wired.ports.supervisor
    supervisor.stop("postgres")
    subprocess.run(["cp", "-a", str(wal), str(there)], check=True)
    shutil.rmtree(wal)
    wal.symlink_to(there)
    supervisor.start("postgres")
    try:
        yield
    finally:
        supervisor.stop("postgres")
        wal.unlink()
        subprocess.run(["cp", "-a", str(there), str(wal)], check=True)
        supervisor.start("postgres")


@contextmanager
def hung_backends(stead: LiveStead) -> Iterator[None]:
    """The whole server hangs (SIGSTOP), for longer than one look."""
    with hanging(stead):
        yield


def frozen_pooler(stead: LiveStead) -> AbstractContextManager[None]:
    return signalled(stead, "pgbouncer")


def frozen_agent(stead: LiveStead) -> AbstractContextManager[None]:
    return signalled(stead, "agent")


def signalled(stead: LiveStead, program: str) -> AbstractContextManager[None]:
    """Have a program hang."""
    pid = stead.wired.ports.supervisor.states()[program].pid
    assert pid is not None
    return frozen(pid)


TOLD_IN_THE_SUITE = (
    Fault("hanging", hung_backends, "server", "critical", 503, 503, "ServerDown",
          swift=False),
    Fault("full pool", full_pool, "pool_wait", "critical", 503, 503, "PoolWaitCritical", 1.0),
    Fault("lock chain", lock_chain, "blocked", "critical", 503, 200, "BlockedCritical", 2.0),
    Fault("wrong password", wrong_password, "server", "unknown", 200, 200, "ServerDown",
          known=False),
)  # fmt: skip
SOAKED = (
    Fault("server stopped", lambda s: stopped(s, "postgres"), "server", "critical", 503, 503,
          "ServerDown"),
    Fault("pooler stopped", lambda s: stopped(s, "pgbouncer"), "pooler", "critical", 503, 503,
          "PoolerDown"),
    Fault("pooler hanging", frozen_pooler, "pooler", "critical", 503, 503, "PoolerDown"),
    Fault("idle in transaction", idle, "idle_in_transaction", "critical", 503, 200,
          "IdleInTransactionCritical", 2.0),
    Fault("slot stuck", slot, "slot_retained", "critical", 200, 200, "SlotRetainsCritical"),
    Fault("archive failing", failing_archiver, "archive_queue", "critical", 200, 200,
          "ArchiveQueueCritical", 2.0),
    # certificates are looked at every ten times
    Fault("certificate ends", short_certificate, "certificate", "critical", 200, 200,
          "CertificateEndsCritical", looks=20),
    Fault("disk full", full_disk, "disk", "critical", 503, 200, "DiskFullCritical"),
    Fault("application's password", wrong_password_of_the_application, "", "", 503, 503, ""),
    Fault("agent hanging", frozen_agent, "server", "unknown", 200, 200, "", known=False),
)  # fmt: skip
