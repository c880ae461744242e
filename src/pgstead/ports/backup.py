"""Protocols of what backs up: the repository, the engine, the catalog, and what a restore gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from pathlib import Path

    from pgstead.model.backup import (
        Ending,
        KeyPair,
        Lineage,
        Run,
        StoredBackup,
        Target,
        Task,
    )
    from pgstead.model.resources import BackupKey
    from pgstead.ports import Sql
    from pgstead.ports.mirror import MirrorPorts


class BackupVault(Protocol):
    """The repository's directory and the key pair in it."""

    def inspect(self) -> BackupKey | None:
        """Return the repository as it is, None where there is none."""
        ...

    def ensure(self) -> None:
        """Make it. Raises KeysLostError where the key of what lies there is gone."""
        ...

    def keep_manifest(self) -> None:
        """Copy the manifest that counts now to what was backed up under it."""
        ...

    def pairs(self) -> tuple[KeyPair, ...]:
        """Return the key pairs, oldest first."""
        ...

    def rotate(self) -> KeyPair:
        """Make a further pair that is sealed to from now on; earlier ones go on opening."""
        ...

    def change_passphrase(self, wanted: Path) -> None:
        """Protect all pairs by what is in a file; its text takes the place of the old one."""
        ...

    def sweep(self) -> None:
        """Remove the keyrings that killed runs left, and end their agents."""
        ...

    def unopened(self, sealed: Sequence[Path]) -> Mapping[str, str]:
        """Return what does not open, with why: of files, and of a probe that is sealed now."""
        ...

    def export(self, into: Path) -> None:
        """Copy all pairs, under their passphrase, to a file that must not be there."""
        ...


class BackupEngine(Protocol):
    """What makes base backups, takes WAL away, and lays both out again."""

    def backup(self, *, parent: str = "", gentle: bool = False) -> str:
        """Make a base backup, on top of another where one is named; return its name.

        A gentle one takes its time, for who is served.
        """
        ...

    def backups(self) -> tuple[StoredBackup, ...]:
        """Return what the repository holds, oldest first."""
        ...

    def show(self, name: str) -> StoredBackup:
        """Return one base backup. Raises BackupError where there is none of that name."""
        ...

    def lineage(self, timeline: str = "") -> Lineage:
        """Return a timeline, by its number or the newest, with those that it comes from."""
        ...

    def being_made(self) -> int:
        """Return the bytes that there are of the base backup that is being made."""
        ...

    def end_orphans(self) -> None:
        """End what a killed run has started to make a base backup with."""
        ...

    def sums(self, name: str) -> Mapping[str, str]:
        """Return the SHA-256 of each file of a base backup, by its name."""
        ...

    def delete(self, name: str) -> None:
        """Remove a base backup and the WAL that nobody needs then."""
        ...

    def archive(self) -> None:
        """Take the segments that have arrived into the repository."""
        ...

    def plain(self) -> Sequence[str]:
        """Return the files of an encrypted repository that anybody can read, and should not."""
        ...

    def has(self, segment: str) -> bool:
        """Return whether a WAL segment is in the repository."""
        ...

    def check(self) -> tuple[str, ...]:
        """Return what the engine itself finds wrong."""
        ...

    def restore(self, name: str, place: Path, target: Target, *, staging: Path) -> None:
        """Lay a base backup and the WAL up to a target into an empty directory."""
        ...

    def forget_open_segment(self) -> None:
        """Receive WAL anew: the segment that was being received is of a history that is over."""
        ...


class BackupCatalog(Protocol):
    """Each run of a backup, a verification, a drill; written down before it begins."""

    def begin(self, task: Task, cause: str, backup: str = "") -> int:
        """Write down that a run begins; return its number."""
        ...

    def note(self, number: int, detail: Mapping[str, object]) -> None:
        """Write down what it has come to so far: what is known of it if it is killed."""
        ...

    def end(
        self,
        number: int,
        ending: Ending,
        *,
        backup: str | None = None,
        detail: Mapping[str, object] | None = None,
        error: str = "",
    ) -> None:
        """Write down how it ended."""
        ...

    def settle(self) -> int:
        """Mark the runs whose process is gone as killed; return how many."""
        ...

    def runs(self, task: Task | None = None, *, limit: int = 1000) -> tuple[Run, ...]:
        """Return the last runs, newest first."""
        ...


@dataclass(frozen=True, slots=True)
class SocketAddress:
    """Where a server listens on a Unix socket."""

    directory: str
    port: int


class Turns(Protocol):
    """Whose turn it is at the repository; waits for `patience` seconds, then raises BusyError."""

    def making(self, *, patience: float) -> AbstractContextManager[None]:
        """Be the only one who makes a base backup."""
        ...

    def reading(self, *, patience: float) -> AbstractContextManager[None]:
        """Read the repository: nothing in it is let go of meanwhile."""
        ...

    def letting_go(self, *, patience: float) -> AbstractContextManager[None]:
        """Be alone with the repository."""
        ...

    def exporting(self, *, patience: float) -> AbstractContextManager[None]:
        """Be the only one who makes logical dumps."""
        ...

    def mirroring(self, *, patience: float) -> AbstractContextManager[None]:
        """Be the only one who copies to object storage."""
        ...


class LogicalDumps(Protocol):
    """Dumps that another version can read too; sealed to the key of the repository, or plain."""

    def dump(
        self, source: SocketAddress, database: str, into: Path, *, table: str = "",
        sealed: bool = False,
    ) -> int:  # fmt: skip
        """Dump a database, or a table of it, in one snapshot; return the bytes of the file."""
        ...

    def globals(self, source: SocketAddress, into: Path, *, sealed: bool = False) -> int:
        """Dump roles and memberships, without passwords; return the bytes of the file."""
        ...

    def contents(self, file: Path) -> tuple[str, ...]:
        """Return the table of contents of a dump. Raises BackupError for what is none."""
        ...

    def read(self, file: Path) -> str:
        """Read all of a dump, keeping nothing; return the SHA-256 of the file."""
        ...

    def open(self, file: Path, into: Path) -> int:
        """Write what is sealed to a file that is not there yet; return its bytes."""
        ...

    def copy_keys(self, into: Path) -> None:
        """Copy what opens sealed dumps, under its passphrase, beside them."""
        ...


class RestoredServer(Protocol):
    """A server on what was restored: a private socket, no TCP, no archiving."""

    def start(self, place: Path, *, timeout: float) -> RestoredSession:
        """Start it, and wait until it has replayed what it is to replay."""
        ...


class RestoredSession(Protocol):
    """A started one; ends with its `with` block."""

    @property
    def sql(self) -> Sql:
        """Connections as its superuser."""
        ...

    @property
    def address(self) -> SocketAddress:
        """Where it listens."""
        ...

    def promote(self) -> None:
        """End recovery where it stands."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


class RestoredFiles(Protocol):
    """What a restore has laid out, before anything starts."""

    def verify(self, place: Path, found: StoredBackup) -> int:
        """Compare every file with the manifest; return how many. Raises BackupError."""
        ...

    def names(self) -> Sequence[str]:
        """Return the names of the WAL segments that have come, the open one too."""
        ...

    def stored(self, found: StoredBackup) -> Sequence[str]:
        """Return the whole WAL segments that the repository has from a backup's first one on."""
        ...

    def read_wal(self, place: Path, found: StoredBackup, wanted: Sequence[str]) -> tuple[int, str]:
        """Read every WAL record from the backup on; return the segments, and the last record."""
        ...


class Scratch(Protocol):
    """Where verifications and drills lay things out for a moment."""

    def place(
        self, kind: str, *, room: int, near: Path | None = None
    ) -> AbstractContextManager[Path]:
        """Give a directory that is gone afterwards. Raises BackupError without `room` bytes."""
        ...

    def sweep(self) -> Sequence[str]:
        """Remove what killed runs left; return the names."""
        ...


@dataclass(frozen=True, slots=True)
class BackupPorts:
    """What backups work with."""

    engine: BackupEngine
    vault: BackupVault
    catalog: BackupCatalog
    restored: RestoredServer
    files: RestoredFiles
    dumps: LogicalDumps
    turns: Turns
    scratch: Scratch
    mirror: MirrorPorts | None = None  # None where no copy is kept elsewhere
