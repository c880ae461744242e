"""Backups: what is wanted, what lies in the repository, and what was done and how it ended."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from pgstead.model.mirror import MirrorPlan

SERVER = "stead"  # the one server of Barman's configuration


def kilobytes(rate: int) -> int:
    """Return bytes a second in what pg_basebackup takes: 32 kB to 1 GB a second."""
    return min(max(math.ceil(rate / 1024), 32), 2**20)


@dataclass(frozen=True, slots=True)
class BackupPlan:
    """How a stead is backed up. Sizes in bytes, spans in seconds."""

    repository: str  # the directory that Barman keeps: base backups and WAL
    slot: str  # the replication slot that no WAL is lost by
    compression: str  # zstd, lz4, gzip, none
    encrypted: bool
    passphrase: str  # the file with the passphrase of the key; never its text
    recipient: str  # whom gpg encrypts to; no mail is ever sent there
    rate_limit: int  # bytes a second that a base backup reads at most; 0: no limit
    gentle_rate: int  # the same for one that nobody waits for
    schedule: str  # of base backups, cron(5), in UTC
    incremental: str  # of incremental ones; empty: none
    retention: int  # days that any moment of can be recovered
    minimum: int  # base backups that are kept whatever their age
    max_age: float  # a base backup older than that is too old
    drill: str  # cron(5), in UTC
    drill_age: float
    exports: str  # the directory of logical dumps
    export: str  # when they are made, cron(5), in UTC; empty: when somebody says so
    export_kept: int  # days
    export_age: float  # where there is a schedule, a last dump older than that is too old
    mirror: MirrorPlan | None = None  # a copy in object storage

    @property
    def base(self) -> str:
        """Where the base backups lie, each in a directory named by its id."""
        return f"{self.repository}/{SERVER}/base"

    @property
    def streaming(self) -> str:
        """Where the WAL arrives, the open segment too: plain, so its mode is 0700."""
        return f"{self.repository}/{SERVER}/streaming"

    @property
    def wals(self) -> str:
        """Where the WAL is kept."""
        return f"{self.repository}/{SERVER}/wals"

    @property
    def errors(self) -> str:
        """Where Barman puts WAL that it has no place for."""
        return f"{self.repository}/{SERVER}/errors"

    @property
    def abandoned(self) -> str:
        """Where open segments are put whose history is over."""
        return f"{self.repository}/abandoned"

    @property
    def manifest(self) -> str:
        """A copy of the manifest that the newest base backup was made under."""
        return f"{self.repository}/pgstead.toml"

    @property
    def key(self) -> str:
        """The directory with the key pair; the secret half opens by the passphrase only."""
        return f"{self.repository}/key"


@dataclass(frozen=True, slots=True)
class Lineage:
    """A timeline, and where those ended that it comes from (its history file)."""

    timeline: int
    parents: Mapping[int, int] = field(default_factory=dict[int, int])  # where each was left

    def holds(self, timeline: int, place: int) -> bool:
        """Say whether a place in the WAL of a timeline lies on the way to this one."""
        return timeline == self.timeline or place <= self.parents.get(timeline, -1)


class State(StrEnum):
    """Of a base backup in the repository."""

    DONE = "done"
    RUNNING = "running"
    FAILED = "failed"
    WAITING = "waiting"  # copied; the WAL that it needs is not all here yet


@dataclass(frozen=True, slots=True)
class StoredBackup:
    """A base backup as the repository has it."""

    name: str  # Barman's id: "20261121T212617"
    state: State
    kind: str  # full, incremental
    parent: str  # of an incremental one; empty
    begun: datetime | None
    ended: datetime | None
    size: int  # bytes in the repository, without WAL
    wal_size: int  # bytes of WAL between this one and the next
    cluster_size: int  # bytes of the data directory that was copied
    begin_lsn: str
    end_lsn: str
    begin_wal: str
    end_wal: str
    timeline: int
    system_id: str
    major: int
    segment: int  # bytes of a segment of WAL, as initdb was told
    encrypted: bool
    error: str = ""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A key pair of the repository."""

    fingerprint: str
    made: datetime
    current: bool  # new files are sealed to it
    sealed: int  # files of the repository that only this one opens


class Task(StrEnum):
    """What the catalog keeps."""

    BACKUP = "backup"
    VERIFY = "verify"
    DRILL = "drill"
    EXPIRE = "expire"
    EXPORT = "export"
    RESTORE = "restore"
    MIRROR = "mirror"
    VERIFY_REMOTE = "verify-remote"
    RETENTION = "retention"
    PARTITIONS = "partitions"
    INTEGRITY = "integrity"
    REPAIR = "repair"


class Ending(StrEnum):
    """How a run ended."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    INTERRUPTED = "interrupted"  # somebody stopped it: neither a success nor a failure
    KILLED = "killed"  # found running by the next one, its process gone


@dataclass(frozen=True, slots=True)
class Run:
    """One run: a line of the catalog."""

    number: int
    task: Task
    backup: str  # the base backup (of the care for data: the database) that it was about; or none
    begun: datetime
    ended: datetime | None
    ending: Ending
    cause: str  # schedule, command, first, retry
    detail: Mapping[str, object] = field(default_factory=dict[str, object])
    error: str = ""

    @property
    def counts(self) -> bool:
        """It ended, and nobody stopped it: it succeeded or failed."""
        return self.ending not in (Ending.RUNNING, Ending.INTERRUPTED)

    @property
    def seconds(self) -> float | None:
        """How long it took; None while it runs."""
        return None if self.ended is None else (self.ended - self.begun).total_seconds()


class TargetKind(StrEnum):
    """Up to where WAL is replayed."""

    LATEST = "latest"
    TIME = "time"
    XID = "xid"
    NAME = "name"
    LSN = "lsn"
    IMMEDIATE = "immediate"  # as soon as the base backup is consistent


@dataclass(frozen=True, slots=True)
class Target:
    """A moment to recover to."""

    kind: TargetKind = TargetKind.LATEST
    value: str = ""  # a time with its zone, an xid, a name, an LSN
    timeline: str = ""  # "latest", "current", a number; empty: latest
    exclusive: bool = False  # stop just before it

    def __str__(self) -> str:
        return self.kind if not self.value else f"{self.kind} {self.value}"
