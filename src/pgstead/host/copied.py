"""A copy of the running cluster with a server of its own, for as long as it is needed.

It lies in the stead's own state, so that a file system that can share blocks does. Its server
listens on a socket in a directory that nobody but the servers' user and root can enter; nobody has
a password there. It archives nothing, follows nobody, and loads no library that works by itself.
Nothing of it is left, whatever ends the command: see `shell/copy.sh`.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import signal
import subprocess
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from psycopg import sql as composed

from pgstead.errors import BusyError, HostError, NotRunningError
from pgstead.host import guard, live_copy, processes, programs
from pgstead.host.files import LocalFiles
from pgstead.host.live_copy import Backup
from pgstead.host.sql import SocketSql

if TYPE_CHECKING:
    from pgstead.model.design import Design
    from pgstead.ports import Progress, Sql

_MARK = "c"  # how the directory's name begins: short, a socket's path has 107 bytes
_PORT = 1  # only a part of the socket's name
_TO_START = 600.0  # seconds; what was written while it was copied has to be replayed
_TO_END = 60.0
_MAP = "copy"
# They do nothing unless they are asked: what works by itself (pg_cron, ...) must not work twice.
_HARMLESS = frozenset(
    {"auth_delay", "auto_explain", "passwordcheck", "pg_stat_statements", "pgaudit"}
)


@dataclass(frozen=True, slots=True)
class Copy:
    """A running copy."""

    sql: SocketSql
    connection: Path  # a connection file, as those that `up` writes
    backup: Backup
    settings: Mapping[str, str]  # in which it differs from the original
    notes: tuple[str, ...]  # what was done to it before anybody came

    def logged_in(self, role: str) -> SocketSql:
        """Return the way in as another role; those of the database alone are let in."""
        return SocketSql(
            PurePosixPath(self.settings["unix_socket_directories"].strip('"')), _PORT, role
        )


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the copy is made of, and for whom."""

    design: Design
    sql: Sql  # of the original
    database: str
    prefix: str
    roles: Mapping[str, str]  # purpose -> name; those that connect
    headroom: int  # bytes that will be written beside the copy


@contextmanager
def running(wanted: Wanted, progress: Progress) -> Generator[Copy]:
    """Copy the cluster and start a server on the copy. Raises BusyError where one is there."""
    layout = wanted.design.layout
    with _alone(wanted.design):
        sweep(wanted.design)
        directory = Path(layout.server / f"{_MARK}{secrets.token_hex(3)}")
        _make_directory(directory, wanted.design.host.server_user)
        with _keeper(directory, wanted, progress) as copy:
            yield copy


def sweep(design: Design) -> None:
    """Remove what a killed machine left; the caller holds the lease."""
    user = design.host.server_user
    for directory in Path(design.layout.server).glob(f"{_MARK}??????"):
        data = str(directory / "data")
        found = [p for p in processes.everyone() if data in processes.arguments(p.pid)]
        for process in found:
            processes.send(process, signal.SIGQUIT)
        for process in processes.wait_until_gone(found, 10):
            processes.send(process, signal.SIGKILL)
        programs.run(["rm", "-rf", "--", str(directory)], user=user, timeout=_TO_END)


@contextmanager
def _alone(design: Design) -> Generator[None]:
    files = LocalFiles(design.layout.state)
    files.make_directory(design.layout.rehearsals, mode=0o700)
    lease = os.open(
        design.layout.rehearsals / "lease", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
    )
    try:
        try:
            fcntl.flock(lease, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(
                "another rehearsal is running on this stead", hint="wait for it, or end it"
            ) from None
        yield
    finally:
        os.close(lease)


def _make_directory(directory: Path, user: str) -> None:
    """Make it as the servers' user, so that root writes nothing where that user may plant links."""
    done = programs.run(["mkdir", "-m", "700", "--", str(directory)], user=user)
    if not done.ok:
        raise HostError(
            f"making {directory} failed: {done.words}", hint="`pgstead up` mends the directories"
        )


@contextmanager
def _keeper(directory: Path, wanted: Wanted, progress: Progress) -> Generator[Copy]:
    """Start what removes the copy when we are gone, then make the copy."""
    design = wanted.design
    settings = _settings(directory, wanted)
    options = [f"--{name}={value}" for name, value in settings.items()]
    server = [str(Path(design.build.bindir, "postgres")), "-D", str(directory / "data"), *options]
    keeper = _start_keeper(directory, design, server)
    try:
        progress.step("copying the cluster")
        backup = live_copy.make(
            wanted.sql,
            Path(design.layout.data),
            directory / "data",
            user=design.host.server_user,
            headroom=wanted.headroom,
            progress=progress,
        )
        _configure(directory, wanted)
        progress.step("starting a server on the copy")
        assert keeper.stdin is not None
        keeper.stdin.write(b"start\n")
        keeper.stdin.flush()
        sql = SocketSql(PurePosixPath(directory), _PORT, design.superuser)
        _wait(directory, sql, design.host.server_user)
        notes = (*_roll_back_prepared(sql),)
        yield Copy(sql, _connection_file(directory, wanted), backup, settings, notes)
    finally:
        _end(keeper, directory, design)


def _start_keeper(
    directory: Path, design: Design, server: Sequence[str]
) -> subprocess.Popen[bytes]:
    user = programs.account(design.host.server_user)
    other = not user.is_me
    library = design.build.library_path
    extra = {"LD_LIBRARY_PATH": library} if library else {}
    return subprocess.Popen(
        ["/bin/sh", "-c", guard.shell_file("copy.sh"), "copy.sh", str(directory), *server],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env=programs.plain_environment(extra),
        umask=0o077,
        user=user.uid if other else None,
        group=user.gid if other else None,
        extra_groups=[] if other else None,
        start_new_session=True,  # a Ctrl-C at the terminal is not meant for it
    )


def _settings(directory: Path, wanted: Wanted) -> dict[str, str]:
    """Return in what the copy's server differs: on its command line, which outdoes all files."""
    with wanted.sql.connect() as session:
        row = session.execute(
            "SELECT current_setting('shared_preload_libraries') AS libraries,"
            " pg_size_bytes(current_setting('shared_buffers')) AS buffers"
        ).fetchone()
    assert row is not None
    libraries = [name.strip() for name in row["libraries"].split(",")]
    # both run at once, and the original was given its share of the memory already
    buffers = min(row["buffers"], max(wanted.design.host.usable_memory // 16, 32 * 1024**2))
    return {
        "listen_addresses": "",
        "port": str(_PORT),
        "unix_socket_directories": f'"{directory}"',
        "hba_file": str(directory / "pg_hba.conf"),
        "ident_file": str(directory / "pg_ident.conf"),
        "external_pid_file": "",
        "ssl": "off",
        "logging_collector": "off",
        "log_destination": "stderr",
        "shared_preload_libraries": ",".join(n for n in libraries if n in _HARMLESS),
        "shared_buffers": f"{buffers // 1024}kB",
        "huge_pages": "off",
        "archive_mode": "off",
        "primary_conninfo": "",
        "synchronous_standby_names": "",
        "max_logical_replication_workers": "0",
    }


def _configure(directory: Path, wanted: Wanted) -> None:
    """Write who may come, and what the copied configuration includes."""
    design = wanted.design
    users = dict.fromkeys([design.host.server_user, design.host.os_user])
    roles = dict.fromkeys([design.superuser, *wanted.roles.values()])
    ident = "".join(f"{_MAP} {_quoted(u)} {_quoted(r)}\n" for u in users for r in roles)
    user = design.host.server_user
    live_copy.put(directory / "pg_hba.conf", f"local all all peer map={_MAP}\n", user=user)
    live_copy.put(directory / "pg_ident.conf", ident, user=user)
    live_copy.duplicate(Path(design.layout.server / "pgstead.conf"), directory, user=user)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _connection_file(directory: Path, wanted: Wanted) -> Path:
    """Write a connection file for who works on the copy; peer asks for no password."""
    layout = wanted.design.layout
    passfile = layout.rehearsals / "passfile"
    files = LocalFiles(layout.state)
    files.write(passfile, "*:*:*:*:none\n", mode=0o600)
    told = {
        "version": 1,
        "stead": wanted.design.name,
        "environment": "rehearsal",
        "database": wanted.database,
        "prefix": wanted.prefix,
        "server": {"major": wanted.design.build.major},
        "doors": {"direct": {"host": str(directory), "port": _PORT}, "pooler": None},
        "ca": "/",
        "sslmode": "disable",
        "roles": {
            purpose: {"user": name, "passfile": str(passfile)}
            for purpose, name in wanted.roles.items()
        },
        "pool": {"size": 1, "max_overflow": 0, "timeout": 5.0, "recycle": 840},
    }
    path = layout.rehearsals / "copy.json"
    files.write(path, json.dumps(told, indent=2) + "\n", mode=0o600)
    return Path(path)


def _wait(directory: Path, sql: SocketSql, user: str) -> None:
    until = time.monotonic() + _TO_START
    begun = time.monotonic()
    while not sql.answers():
        ended = time.monotonic() - begun > 1 and not _lives(directory)
        if ended or time.monotonic() > until:
            said = programs.run(["tail", "-n", "30", str(directory / "log")], user=user).out
            lines = said.splitlines()
            grave = [line for line in lines if "PANIC:" in line or "FATAL:" in line]
            grave = [line for line in grave if "is starting up" not in line]  # that was said to us
            raise NotRunningError(
                f"the server on the copy does not come up: {' | '.join(grave or lines[-2:])}",
                hint="`pgstead status` says whether the original is well",
            )
        time.sleep(0.05)


def _lives(directory: Path) -> bool:
    try:
        pid = int((directory / "pid").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return False
    return processes.look(pid) is not None


def _roll_back_prepared(sql: SocketSql) -> Generator[str]:
    """End prepared transactions: they would hold their locks for ever, as nobody comes for them."""
    with sql.connect() as session:
        rows = session.execute("SELECT gid, database FROM pg_prepared_xacts").fetchall()
    for row in rows:
        with sql.connect(row["database"]) as session:
            session.execute(
                composed.SQL("ROLLBACK PREPARED {}").format(composed.Literal(row["gid"]))
            )
        yield f"the prepared transaction {row['gid']!r} was rolled back on the copy"


def _end(keeper: subprocess.Popen[bytes], directory: Path, design: Design) -> None:
    assert keeper.stdin is not None
    with suppress(OSError):
        keeper.stdin.close()
    with suppress(subprocess.TimeoutExpired):
        keeper.wait(_TO_END)
    if keeper.poll() is None:
        keeper.kill()
    if directory.exists():
        sweep(design)
    files = LocalFiles(design.layout.state)
    for name in ("passfile", "copy.json"):
        files.remove(design.layout.rehearsals / name)
