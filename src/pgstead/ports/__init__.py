"""Protocols of everything outside: what `host` implements and the stages above are handed.

`cli/wiring.py` puts the adapters together; tests do the same with real servers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    import psycopg

    from pgstead.model.design import DatabasePlan, Design, Program
    from pgstead.model.gate import Unproven, VerifiedBackup
    from pgstead.model.resources import Certificate, Cluster
    from pgstead.model.revision import Remark, RevisionScript
    from pgstead.model.rotation import Authority
    from pgstead.ports.alerts import AlertPorts
    from pgstead.ports.audit import AuditPorts
    from pgstead.ports.backup import BackupPorts
    from pgstead.ports.integrity import CarePorts
    from pgstead.ports.telemetry import TelemetryPorts
    from pgstead.ports.upkeep import UpkeepHistory

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class FileFacts:
    """A file as found."""

    text: str
    mode: int
    owner: str


class Files(Protocol):
    """Files below the state directory. Writes are atomic (temporary file, fsync, rename)."""

    def read(self, path: PurePosixPath) -> FileFacts | None:
        """Return the file, or None where there is none."""
        ...

    def mode(self, path: PurePosixPath) -> int | None:
        """Return the permission bits without reading the file."""
        ...

    def write(
        self, path: PurePosixPath, text: str, *, mode: int = 0o644, owner: str | None = None
    ) -> None:
        """Write a file whole; parents are made. `owner` is an OS user, applied only as root."""
        ...

    def make_directory(
        self, path: PurePosixPath, *, mode: int = 0o755, owner: str | None = None
    ) -> None:
        """Make a directory with exactly this mode, whatever the umask."""
        ...

    def remove(self, path: PurePosixPath) -> None:
        """Remove a file or a whole tree; nothing there is no error."""
        ...

    def sweep(self, directory: PurePosixPath) -> tuple[PurePosixPath, ...]:
        """Remove a directory when it is empty; return what lies in it otherwise."""
        ...


class Sql(Protocol):
    """Connections as the bootstrap superuser over the 0700 socket (peer)."""

    def connect(
        self, database: str = "postgres", *, read_only: bool = False
    ) -> AbstractContextManager[psycopg.Connection[dict[str, Any]]]:
        """Open a connection (autocommit, dict rows, 5 s to connect, statement timeout 60 s).

        Raises NotRunningError when the server does not answer.
        """
        ...

    def answers(self) -> bool:
        """Say whether the server accepts connections now."""
        ...


class PoolerConsole(Protocol):
    """PgBouncer's admin console."""

    def rows(self, command: str) -> Sequence[Row]:
        """Run a SHOW command. Raises NotRunningError."""
        ...

    def run(self, command: str) -> None:
        """Run PAUSE, RESUME, KILL, SET ... Raises NotRunningError."""
        ...

    def at_rest(self, command: str) -> None:
        """Run RELOAD or RECONNECT while nobody logs in at the server: those would be refused.

        Clients wait for a moment. Raises NotRunningError.
        """
        ...

    def prepared(self, command: str) -> Callable[[], None]:
        """Connect, and return what runs a command; that may be called in another thread.

        Connecting may not: it has another user's id for a moment, and so have all threads.
        """
        ...

    def answers(self) -> bool:
        """Say whether the console accepts connections now."""
        ...


class Hold(Protocol):
    """The pooler's clients, made to wait instead of failing."""

    def waiting(self, *, patience: float, anyway: bool = False) -> AbstractContextManager[bool]:
        """Have every client wait while the block lasts; say whether there is a pooler.

        Raises BusyError where a transaction has not ended within `patience` seconds; with
        `anyway` it fails then. Whatever becomes of us, the clients go on afterwards.
        """
        ...

    def release(self) -> bool:
        """Let clients go on that a killed command left waiting; say whether there were any."""
        ...


@dataclass(frozen=True, slots=True)
class ProgramState:
    """A supervised program as the supervisor sees it."""

    name: str
    running: bool
    state: str  # RUNNING, STARTING, BACKOFF, STOPPED, EXITED, FATAL
    pid: int | None
    digest: str  # of the program as it was started
    detail: str = ""


class Supervisor(Protocol):
    """What keeps the programs running."""

    def states(self) -> Mapping[str, ProgramState]:
        """Return all programs that it knows; empty when no supervisor runs."""
        ...

    def configure(self, programs: Sequence[Program]) -> None:
        """Write the supervisor's configuration, and start it (or make it re-read)."""
        ...

    def start(self, name: str, *, timeout: float = 60) -> None:
        """Start a program and wait until it runs. Raises SteadError with the log's last lines."""
        ...

    def stop(self, name: str, *, timeout: float = 60) -> None:
        """Stop a program with its own signal and wait."""
        ...

    def restart(self, name: str, *, timeout: float = 60) -> None:
        """Stop and start a program."""
        ...

    def relaunch(self, name: str, *, timeout: float = 60) -> None:
        """End a program; the supervisor itself starts it again, also where we are killed."""
        ...

    def shutdown(self, *, timeout: float = 120) -> None:
        """Stop all programs and the supervisor itself; leaves no process, socket or pid file."""
        ...

    def forget(self) -> None:
        """Remove what it keeps beyond the state directory; nothing runs any more."""
        ...

    def orphans(self) -> Iterator[int]:
        """Yield pids of our servers that run without a living supervisor."""
        ...

    def end_orphans(self) -> None:
        """End them: fast shutdown first, SIGKILL last."""
        ...


class Secrets(Protocol):
    """Password files (mode 0600). Values never leave through repr, logs or diffs."""

    def names(self) -> Sequence[str]:
        """Return the names that have a file."""
        ...

    def mode(self, name: str) -> int | None:
        """Return the permission bits of a secret's file, None where there is none."""
        ...

    def ensure(self, name: str, *, mode: int = 0o600) -> None:
        """Make a strong password where there is none, and mend the mode."""
        ...

    def make(self) -> str:
        """Return a strong password that is stored nowhere yet."""
        ...

    def store(self, name: str, value: str) -> None:
        """Put a password in the place of the one before, whole or not at all."""
        ...

    def value(self, name: str) -> str:
        """Return the value. Raises SteadError where there is none."""
        ...

    def remove(self, name: str) -> None:
        """Remove a secret."""
        ...


class KeyRings(Protocol):
    """Key files of encrypted columns (mode 0600). Keys never leave through repr, logs or diffs."""

    def mode(self, plan: DatabasePlan) -> int | None:
        """Return the permission bits of a database's key file, None where there is none."""
        ...

    def ensure(self, plan: DatabasePlan, *, mode: int = 0o600) -> None:
        """Make a first ring where there is none, and mend the mode."""
        ...


class Certificates(Protocol):
    """The certificate store in `layout.tls`."""

    def inspect(self, name: str) -> Certificate | None:
        """Judge a certificate and its key. Raises CertificateError when it cannot be parsed."""
        ...

    def issue(self, wanted: Certificate) -> None:
        """Make (or renew) a certificate; the CA first. Never replaces one the user brought."""
        ...

    def fingerprint(self, name: str) -> str:
        """Return the SHA-256 of a certificate, for reports."""
        ...

    def authority(self) -> Authority:
        """Say how far a rotation of the CA is. Raises CertificateError where there is none."""
        ...

    def announce_ca(self) -> None:
        """Have a coming CA trusted beside the one that signs; again: nothing more."""
        ...

    def switch_ca(self) -> None:
        """Let the coming CA sign; where none is announced, nothing."""
        ...

    def retire_ca(self) -> None:
        """Trust the CA that signs, and no other."""
        ...


class Visitor(Protocol):
    """A client of our own at the doors, who sees what every client sees."""

    def log_in(self, role: str, password: str, database: str, door: str) -> str:
        """Log in and out. Return why that was refused, empty where it was not."""
        ...

    def certificate(self, door: str) -> str:
        """Return the SHA-256 of the certificate that a door shows. Raises NotRunningError."""
        ...


class ClusterHost(Protocol):
    """The data directory."""

    def inspect(self) -> Cluster | None:
        """Return what the data directory is. Raises ForeignStateError for another stead's."""
        ...

    def initialize(self, wanted: Cluster, design: Design) -> None:
        """Run initdb in a temporary directory, fsync, rename. Raises InitializationError."""
        ...

    def adopt(self, place: Path) -> None:
        """Make restored files the data directory, which must not be there, and our own."""
        ...


class Migrations(Protocol):
    """Alembic, per database, on a direct connection as the migrator."""

    def heads(self, plan: DatabasePlan) -> tuple[str, ...]:
        """Return the revisions that the scripts lead to."""
        ...

    def upgrade(self, plan: DatabasePlan, design: Design, *, reason: str = "") -> None:
        """Run `alembic upgrade heads`; the ledger keeps the reason.

        Raises SteadError with Alembic's own words.
        """
        ...


class Gate(Protocol):
    """What must hold before pending revisions run."""

    def refuse(self, databases: Sequence[str]) -> None:
        """Raise GateError with all that is not met for these databases."""
        ...


class Backups(Protocol):
    """What is known of base backups."""

    def last_verified(self) -> VerifiedBackup | Unproven | None:
        """Return the newest one that was restored and checked; None where none ever was."""
        ...


class Revisions(Protocol):
    """The revisions of a database, written out without a server."""

    def written(self, folder: str, roles: Mapping[str, str]) -> tuple[RevisionScript, ...]:
        """Return all of a folder in the order in which they run; `roles`: purpose -> name.

        Raises SteadError where they cannot be read.
        """
        ...


class SquawkProgram(Protocol):
    """squawk, which looks for dangerous locks in SQL."""

    def remarks(
        self, sheets: Mapping[str, str], *, major: int, transactional: bool
    ) -> tuple[Remark, ...]:
        """Return what it says about some texts by file name. Raises HostError."""
        ...


class Journal(Protocol):
    """What was done; survives a crash."""

    def record(self, event: str, **details: object) -> None:
        """Append one line and fsync it. Details carry no secret."""
        ...


class Progress(Protocol):
    """Where long work is told to people."""

    @property
    def watched(self) -> bool:
        """Somebody sees a line change: how far a step has come may be told again and again."""
        ...

    def step(self, text: str) -> None:
        """Say what is being done now."""
        ...


@dataclass(frozen=True, slots=True)
class Ports:
    """All adapters of one stead."""

    files: Files
    sql: Sql
    console: PoolerConsole
    hold: Hold
    supervisor: Supervisor
    secrets: Secrets
    keys: KeyRings
    certificates: Certificates
    cluster: ClusterHost
    migrations: Migrations
    journal: Journal
    progress: Progress
    visitor: Visitor
    backup: BackupPorts | None = None  # None where no backups are made
    telemetry: TelemetryPorts | None = None  # None where nothing is watched
    alerts: AlertPorts | None = None  # None where nobody wants to know
    audit: AuditPorts | None = None  # None where nothing is audited
    upkeep: UpkeepHistory | None = None  # None where nothing is remembered of it
    care: CarePorts | None = None  # None where there is no server to look after
