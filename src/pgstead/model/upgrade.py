"""A major upgrade: what it is from and to, how far it has come, and what a rehearsal showed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Mode(StrEnum):
    """How the files of tables and indexes come into the new cluster."""

    COPY = "copy"  # the old cluster stays whole
    CLONE = "clone"  # the same, and they share their blocks until somebody writes
    LINK = "link"  # both have the same files: once the new one was started there is no way back

    @property
    def reversible(self) -> bool:
        """The old cluster can be started after the new one was."""
        return self is not Mode.LINK


class Phase(StrEnum):
    """How far an upgrade has come; it is written down before its phase begins."""

    PREPARING = "preparing"  # the new cluster is made beside; the old one serves
    UPGRADING = "upgrading"  # the old one is stopped, and pg_upgrade runs
    SWAPPING = "swapping"  # pg_upgrade is done; the directories change names
    STARTING = "starting"  # the new one is started
    SETTLING = "settling"  # it serves; its backups begin
    RETURNING = "returning"  # somebody wants the old one back

    @property
    def returns(self) -> bool:
        """A run that was killed in it is taken back; later ones are gone on with."""
        return self in (Phase.PREPARING, Phase.UPGRADING)


@dataclass(frozen=True, slots=True)
class Release:
    """One end of an upgrade."""

    major: int
    version: str  # "15.19"
    bindir: str

    def __str__(self) -> str:
        return self.version


@dataclass(frozen=True, slots=True)
class Upgrade:
    """An upgrade that was begun."""

    old: Release
    new: Release
    mode: Mode
    phase: Phase
    begun: str  # as `host.clock.stamp` writes it
    kept: str  # the name that the old data directory gets
    aside: str = ""  # where what was backed up of the old cluster goes; empty: nothing was
    backup: str = ""  # the base backup that was made before
    served: str = ""  # when the new one had begun to serve: its own base backups are younger


@dataclass(frozen=True, slots=True)
class Seconds:
    """What a downtime consists of."""

    stop: float
    upgrade: float
    start: float
    statistics: float
    engine: float = 0.0  # in containers: ending those that are stopped, making the new one

    @property
    def total(self) -> float:
        """All of it."""
        return self.stop + self.upgrade + self.start + self.statistics + self.engine


@dataclass(frozen=True, slots=True)
class RehearsedUpgrade:
    """What a rehearsal of an upgrade showed."""

    old: Release
    new: Release
    mode: Mode
    at: str
    bytes: int  # of the cluster
    seconds: Seconds
    rows: int
    tables: int
    objects: int
    databases: int
    differences: tuple[str, ...]
    notes: tuple[str, ...] = ()
    statistics: tuple[int, int] = (0, 0)  # columns that the planner knows of: now, of how many

    def covers(self, old: Release, new: Release, mode: Mode) -> bool:
        """Say whether it shows that this upgrade goes well."""
        same = (self.old.version, self.new.version, self.mode) == (old.version, new.version, mode)
        return same and not self.differences


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What must be seen to before an upgrade."""

    text: str
    hint: str


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """What an upgrade must know of the running cluster."""

    prepared: tuple[str, ...] = ()  # names of prepared transactions
    slots: tuple[str, ...] = ()  # replication slots, temporary ones left out
    tablespaces: tuple[str, ...] = ()
    closed: tuple[str, ...] = ()  # databases that nobody may connect to, or that are broken
    extensions: Mapping[str, tuple[str, ...]] = field(
        default_factory=dict[str, tuple[str, ...]]
    )  # name -> the databases that have it
    bytes: int = 0  # of all databases


@dataclass(frozen=True, slots=True)
class Ground:
    """What an upgrade must know of the machine."""

    free: int  # bytes on the file system of the data directory
    clones: bool  # files can share their blocks
    available: frozenset[str]  # extensions of the new binaries
    apart: bool = False  # the data directory is on another file system than what it is in
