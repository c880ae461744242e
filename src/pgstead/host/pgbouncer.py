"""PgBouncer: finding it, and its admin console."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import psycopg
from psycopg.rows import dict_row

from pgstead.errors import HostError, MissingLibraryError, MissingPoolerError, NotRunningError
from pgstead.host import elf, programs
from pgstead.host.binaries import fetched_libraries
from pgstead.host.holding import Keeper, kept
from pgstead.host.stillness import still
from pgstead.model.host import HostFacts, PoolerBuild
from pgstead.model.layout import Layout
from pgstead.ports import Row

_VERSION = re.compile(r"^PgBouncer (?:version )?(\d+)\.(\d+)\.(\d+)", re.MULTILINE | re.IGNORECASE)
_FIX = "`pgstead doctor --fix` fetches it without root, or name another: pooler.binary"
# Debian installs it in /usr/sbin, which is not on an ordinary user's PATH.
_SYSTEM = ("/usr/sbin/pgbouncer", "/usr/bin/pgbouncer", "/usr/local/bin/pgbouncer")
# The server's own user may log in to the console as this one, with no password (usage.md).
_CONSOLE = "pgbouncer"


def find(binary: str | None, layout: Layout, host: HostFacts) -> PoolerBuild:
    """Return the manifest's PgBouncer, else the system's, else the toolchain's.

    Raises MissingPoolerError when there is none, MissingLibraryError when it cannot start.
    """
    if binary:
        path = Path(layout.manifest_directory, binary)
        if not path.is_file():
            raise MissingPoolerError(
                f"pooler.binary is {path}, and there is no such file",
                hint="name PgBouncer's binary, or leave pooler.binary out",
            )
        return probe(str(path), "manifest", layout, host)
    broken: HostError | None = None
    for path, origin in _candidates(layout):
        try:
            return probe(str(path), origin, layout, host)
        except HostError as error:
            broken = broken or error
    if broken is not None:
        raise broken
    raise MissingPoolerError("there is no PgBouncer on this machine", hint=_FIX)


def _candidates(layout: Layout) -> Iterator[tuple[Path, str]]:
    on_path = shutil.which("pgbouncer")
    seen = [Path(on_path)] if on_path else []
    seen += [Path(path) for path in _SYSTEM]
    yield from ((path, "system") for path in dict.fromkeys(seen) if path.is_file())
    fetched = Path(layout.toolchain, "pgbouncer").glob("*/usr/sbin/pgbouncer")
    yield from ((path, "toolchain") for path in sorted(fetched, reverse=True))


def probe(path: str, origin: str, layout: Layout, host: HostFacts) -> PoolerBuild:
    """Ask a PgBouncer for its version, as the servers' user."""
    user = host.server_user
    if not programs.run(["test", "-x", path], user=user).ok:
        raise MissingPoolerError(
            f"the servers' user {user!r} cannot execute {path}",
            hint="open its parents (`chmod a+x`), or name another: pooler.binary",
        )
    library_path = ""
    missing = elf.linkage([path], user=user).missing
    if missing:
        library_path = fetched_libraries(layout)
        missing = elf.linkage([path], library_path=library_path, user=user).missing
    if missing:
        raise MissingLibraryError(
            f"{path} needs {', '.join(missing)}, which this machine does not have",
            hint=f"`apt-get install {' '.join(elf.packages(missing)) or 'pgbouncer'}`, or"
            " `pgstead doctor --fix` fetches it without root",
            libraries=missing,
        )
    extra = {"LD_LIBRARY_PATH": library_path} if library_path else None
    outcome = programs.run([path, "--version"], user=user, environment=extra, timeout=20)
    match = _VERSION.search(outcome.out)
    if match is None:
        raise MissingPoolerError(f"`{path} --version` failed: {outcome.words}", hint=_FIX)
    version = (int(match[1]), int(match[2]), int(match[3]))
    notifies = "systemd: yes" in outcome.out
    return PoolerBuild(version, path, origin, library_path, notifies)


@contextmanager
def _acting_as(user: str) -> Generator[None]:
    """Have a user's effective id for a moment, so that a peer sees that one at connect(2).

    All threads of the process have it (nptl(7)): nothing else may be going on meanwhile.
    """
    who = programs.account(user)
    if os.geteuid() != 0 or who.uid == 0:
        yield
        return
    os.seteuid(who.uid)
    try:
        yield
    finally:
        os.seteuid(0)


class SocketConsole:
    """`ports.PoolerConsole` over the console's Unix socket, as PgBouncer's own user."""

    def __init__(self, directory: PurePosixPath, port: int, user: str) -> None:
        """Keep where the socket is, and whose PgBouncer it is."""
        self._directory = directory
        self._port = port
        self._user = user
        self.keeper: Keeper = lambda: None  # what resumes the pooler where we are killed

    @property
    def conninfo(self) -> str:
        """Where it is, for a program of PostgreSQL's."""
        return f"host={self._directory} port={self._port} user={_CONSOLE} dbname=pgbouncer"

    @contextmanager
    def _cursor(self) -> Generator[psycopg.ClientCursor[dict[str, Any]]]:
        # The console knows the simple protocol only, before 1.21 at least, so nothing may be
        # bound or prepared on the server: autocommit, and a cursor that formats on the client.
        try:
            with _acting_as(self._user):
                connection = psycopg.Connection[dict[str, Any]].connect(
                    host=str(self._directory),
                    hostaddr="",
                    port=self._port,
                    user=_CONSOLE,
                    dbname="pgbouncer",
                    passfile=str(self._directory / "none"),  # never the user's
                    sslmode="disable",
                    gssencmode="disable",
                    target_session_attrs="any",
                    client_encoding="UTF8",
                    application_name="pgstead",
                    options="",
                    connect_timeout=5,
                    autocommit=True,
                    row_factory=dict_row,
                )
        except psycopg.OperationalError as error:
            raise NotRunningError(
                f"the pooler's console does not answer: {' '.join(str(error).split())}",
                hint="`pgstead up` starts it, `pgstead logs pgbouncer` shows why it stopped",
            ) from error
        try:
            yield psycopg.ClientCursor(connection)
        finally:
            connection.close()

    def rows(self, command: str) -> Sequence[Row]:
        """Run a SHOW command. Raises NotRunningError."""
        with self._cursor() as cursor:
            try:
                cursor.execute(command.encode())
                return cursor.fetchall()
            except psycopg.Error as error:
                raise _refused(command, error) from error

    def run(self, command: str) -> None:
        """Run PAUSE, RESUME, KILL, SET ... Raises NotRunningError."""
        self.prepared(command)()

    def prepared(self, command: str) -> Callable[[], None]:
        """Connect, and return what runs a command. Raises NotRunningError, as that does too."""
        entered = ExitStack()
        cursor = entered.enter_context(self._cursor())

        def run() -> None:
            with entered:
                try:
                    cursor.execute(command.encode())
                except psycopg.Error as error:
                    raise _refused(command, error) from error

        return run

    def at_rest(self, command: str) -> None:
        """Run a command while nobody logs in at the server. Raises NotRunningError."""
        try:
            with kept(self.keeper), still(self._cursor) as cursor:
                cursor.execute(command.encode())
        except psycopg.Error as error:
            raise _refused(command, error) from error

    def answers(self) -> bool:
        """Say whether the console accepts connections now."""
        try:
            return bool(self.rows("SHOW VERSION"))
        except (NotRunningError, HostError):
            return False


def _refused(command: str, error: psycopg.Error) -> NotRunningError | HostError:
    words = " ".join(str(error).split())
    if isinstance(error, psycopg.OperationalError):
        return NotRunningError(
            f"the pooler went away during {command!r}: {words}", hint="`pgstead up` starts it"
        )
    return HostError(f"the pooler refused {command!r}: {words}")
