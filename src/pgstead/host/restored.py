"""A server on restored files: a private socket, no TCP, no archiving; it ends when we do."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Self

import psycopg

from pgstead.errors import BackupError, SteadError, UnreachableTargetError
from pgstead.host import programs, temporary
from pgstead.host.files import problem
from pgstead.host.sql import SocketSql
from pgstead.model.design import Design
from pgstead.ports import Sql
from pgstead.ports.backup import SocketAddress

_PORT = 5432  # of a socket in a directory of its own
_POLL = 0.05
# Recovery refuses to run with less than the server had that wrote the WAL
# (https://www.postgresql.org/docs/current/hot-standby.html#HOT-STANDBY-ADMIN).
_AT_LEAST = (
    "max_connections", "max_worker_processes", "max_wal_senders", "max_prepared_transactions",
    "max_locks_per_transaction",
)  # fmt: skip
_ASKED_FOR = re.compile(r"^(max_\w+) setting: +(\d+)$", re.MULTILINE)  # pg_controldata
# How recovery ends that does not get to its target, by version and by kind of target.
_EARLY = ("database system is starting up", "not yet accepting connections")  # told to us
_SHORT = ("before configured recovery target was reached", "before consistent recovery point")


class LocalRestoredServer:
    """`ports.RestoredServer` on this machine."""

    def __init__(self, design: Design) -> None:
        """Keep whose files these were."""
        self._design = design

    def start(self, place: Path, *, timeout: float) -> Restored:
        """Start it, and wait until it has replayed what it is to replay.

        Raises BackupError with the server's words where it does not come up or falls short of
        its target.
        """
        design = self._design
        user = design.host.server_user
        home = Path(tempfile.mkdtemp(prefix="pgst-rs-", dir=temporary.parent()))
        try:
            _hand_over(place, home, user)
            config = _configure(design, home, _least(design, place))
            return Restored(design, place, home, config, timeout)
        except BaseException:
            shutil.rmtree(home, ignore_errors=True)
            raise


def _hand_over(place: Path, home: Path, user: str) -> None:
    """Give the files to the servers' user, who alone may read them."""
    try:
        place.chmod(0o700)
        home.chmod(0o700)
        who = programs.account(user)
        if who.is_me:
            return
        for path in (home, place):
            os.chown(path, who.uid, who.gid)
        for directory, folders, files in os.walk(place):
            for name in (*folders, *files):
                os.chown(Path(directory, name), who.uid, who.gid, follow_symlinks=False)
    except OSError as error:
        raise problem(error, place, "handing over") from error


def _least(design: Design, place: Path) -> dict[str, str]:
    """Return what the settings must be at least: ours now, or those that the files were left with.

    With less recovery pauses where the WAL tells of more, which is not its target.
    """
    library = design.build.library_path
    told = programs.run(
        [str(Path(design.build.bindir, "pg_controldata")), str(place)],
        environment={"LD_LIBRARY_PATH": library} if library else None,
    )
    found = {name: int(value) for name, value in _ASKED_FOR.findall(told.out)}
    wanted = {name: int(design.settings[name]) for name in _AT_LEAST if name in design.settings}
    names = [name for name in _AT_LEAST if name in found or name in wanted]
    return {name: str(max(found.get(name, 0), wanted.get(name, 0))) for name in names}


def _configure(design: Design, home: Path, least: dict[str, str]) -> Path:
    settings = {
        "listen_addresses": "",
        "port": str(_PORT),
        "unix_socket_directories": str(home),
        "unix_socket_permissions": "0700",
        "hba_file": str(home / "pg_hba.conf"),
        "ident_file": str(home / "pg_ident.conf"),
        "ssl": "off",
        "archive_mode": "off",
        "shared_preload_libraries": "",
        "shared_buffers": "128MB",
        "logging_collector": "off",
        "lc_messages": "C",  # its words are read
        "log_timezone": "UTC",
        "hot_standby": "on",
        "wal_level": design.settings.get("wal_level", "replica"),
        "autovacuum": "off",  # it is looked at, not kept
        "jit": "off",
    }
    settings |= least
    lines = [f"{name} = {_quoted(value)}" for name, value in settings.items()]
    rules = ["local all all peer map=pgstead", "local replication all reject"]
    users = dict.fromkeys([design.host.server_user, design.host.os_user])
    idents = [f'pgstead "{user}" "{design.superuser}"' for user in users]
    for name, text in (("restored.conf", lines), ("pg_hba.conf", rules), ("pg_ident.conf", idents)):
        (home / name).write_text("\n".join(text) + "\n", encoding="utf-8")
        (home / name).chmod(0o644)
    return home / "restored.conf"


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


class Restored:
    """`ports.RestoredSession`: a running one."""

    def __init__(
        self, design: Design, place: Path, home: Path, config: Path, timeout: float
    ) -> None:
        """Start it; see LocalRestoredServer."""
        self._design = design
        self._place = place
        self._home = home
        self._log = home / "server.log"
        self.sql: Sql = SocketSql(PurePosixPath(home), _PORT, design.superuser)
        self._process = self._launch(config)
        try:
            self._wait(timeout)
        except BaseException:
            self.__exit__()
            raise

    def _launch(self, config: Path) -> subprocess.Popen[bytes]:
        design = self._design
        who = programs.account(design.host.server_user)
        command = [str(Path(design.build.bindir, "postgres")), "-D", str(self._place)]
        command += ["-c", f"config_file={config}"]
        if (setpriv := shutil.which("setpriv", path="/usr/bin:/bin")) is not None:
            command = [setpriv, "--pdeathsig", "INT", "--", *command]
        library = design.build.library_path
        environment = programs.plain_environment({"LD_LIBRARY_PATH": library} if library else None)
        with self._log.open("wb") as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._home,
                env=environment,
                start_new_session=True,
                user=None if who.is_me else who.uid,
                group=None if who.is_me else who.gid,
                extra_groups=None if who.is_me else [],
            )

    def _wait(self, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise self._ended()
            if self._replayed():
                return
            time.sleep(_POLL)
        raise BackupError(
            f"the restored server was not done within {timeout:.0f} s: {self._words()}",
            hint="more WAL than that time takes; make base backups more often",
        )

    def _replayed(self) -> bool:
        """Say whether recovery is over, or paused at its target."""
        try:
            with self.sql.connect(read_only=True) as connection:
                row = connection.execute(
                    "SELECT pg_is_in_recovery() AS going,"
                    " CASE WHEN pg_is_in_recovery() THEN pg_get_wal_replay_pause_state() END"
                    " AS pause"
                ).fetchone()
        except (SteadError, psycopg.Error):
            return False  # it is starting, or ending
        if row is not None and row["going"] and row["pause"] == "paused":
            self._must_be_there()
            return True
        return row is not None and not row["going"]

    def _ended(self) -> BackupError:
        words = self._words()
        if any(part in words for part in _SHORT):
            return UnreachableTargetError(
                f"recovery does not get to its target: {words}",
                hint="it lies before the end of that base backup, behind the last WAL, or on a"
                " timeline that was left: `pgstead restore --backup NAME --timeline N`",
            )
        return BackupError(
            f"the restored server ended: {words}", hint="`pgstead backup verify` looks at all of it"
        )

    def _must_be_there(self) -> None:
        """Raise where recovery pauses for another reason than its target."""
        if not any("recovery stopping" in line for line in self.log):
            raise UnreachableTargetError(
                f"recovery paused before its target: {self._words()}",
                hint="the server that wrote the WAL had larger settings than the manifest has now",
            )

    def _words(self) -> str:
        """Return what the server complained of."""
        try:
            lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return "it left no log"
        lines = [line for line in lines if not any(words in line for words in _EARLY)]
        grave = [line for line in lines if any(w in line for w in ("FATAL:", "PANIC:", "ERROR:"))]
        return " / ".join((grave or lines)[-3:]) or "it said nothing"

    @property
    def address(self) -> SocketAddress:
        """Where it listens."""
        return SocketAddress(str(self._home), _PORT)

    @property
    def log(self) -> Sequence[str]:
        """What it has written so far."""
        return self._log.read_text(encoding="utf-8", errors="replace").splitlines()

    def promote(self) -> None:
        """End recovery where it stands."""
        with self.sql.connect() as connection:
            row = connection.execute("SELECT pg_is_in_recovery() AS going").fetchone()
            if row is not None and row["going"]:
                connection.execute("SELECT pg_promote(true, 60)")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            for sign, patience in ((signal.SIGINT, 30), (signal.SIGQUIT, 10), (signal.SIGKILL, 10)):
                self._process.send_signal(sign)
                try:
                    self._process.wait(patience)
                    break
                except subprocess.TimeoutExpired:
                    continue
        shutil.rmtree(self._home, ignore_errors=True)
