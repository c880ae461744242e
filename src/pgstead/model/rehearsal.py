"""What is kept of a rehearsal: which texts were tried, and how it went."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """A rehearsal that was done to its end, well or not."""

    database: str
    start: tuple[str, ...]  # the revisions that the copy was at
    revisions: Mapping[str, str]  # revision -> the digest of the text that was tried
    at: str  # when it ended, as `host.clock.stamp` writes it
    problems: tuple[str, ...]  # what must be looked at first; empty: it went well
    report: str  # the file that tells all of it

    def covers(self, wanted: Mapping[str, str]) -> bool:
        """Say whether these revisions, with these texts, were tried and went well."""
        return not self.problems and all(
            self.revisions.get(name) == digest for name, digest in wanted.items()
        )


@dataclass(frozen=True, slots=True)
class Held:
    """A lock on a table, from when it was granted to the end of the transaction."""

    table: str
    mode: str  # as people write it: ACCESS EXCLUSIVE
    began: float  # seconds of a monotonic clock
    seconds: float
    rows: bool = True  # the table had some before

    @property
    def stops_readers(self) -> bool:
        """Nobody may even read."""
        return self.mode == "ACCESS EXCLUSIVE"

    @property
    def stops_writers(self) -> bool:
        """Nobody may write: it conflicts with ROW EXCLUSIVE (explicit-locking.html)."""
        return self.mode in {"ACCESS EXCLUSIVE", "EXCLUSIVE", "SHARE ROW EXCLUSIVE", "SHARE"}


@dataclass(frozen=True, slots=True)
class Ran:
    """A statement of a revision, and what it did."""

    revision: str
    direction: str  # up, down
    statement: str  # as it may be shown: without values
    began: float
    seconds: float
    wal: int = 0  # bytes, with the little that the traffic wrote meanwhile
    disk: int = 0  # bytes of database and WAL more than at its start, at most
    rewritten: tuple[str, ...] = ()  # tables whose rows were all written anew
    locks: tuple[Held, ...] = ()  # that it was the first to take
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Waited:
    """How statements of others fared while revisions ran."""

    what: str  # "reads of item"
    count: int
    p99: float  # seconds
    longest: float
    errors: Mapping[str, int] = field(default_factory=dict[str, int])  # SQLSTATE -> how often


@dataclass(frozen=True, slots=True)
class Passed:
    """One way through the revisions."""

    direction: str  # up, down
    seconds: float
    statements: tuple[Ran, ...]
    problem: str = ""  # what the server said where it failed
    waits: tuple[Waited, ...] = ()


@dataclass(frozen=True, slots=True)
class Contents:
    """What is in a table: how many rows, and per column a sum that does not depend on the order."""

    rows: int
    columns: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Showed:
    """All that a rehearsal showed."""

    database: str
    start: tuple[str, ...]
    revisions: tuple[str, ...]
    copied_bytes: int
    cloned: bool
    copy_seconds: float
    seconds: float  # of the whole rehearsal
    passes: tuple[Passed, ...]
    growth: Mapping[str, float]  # table -> how much larger the original is by now
    differences: tuple[str, ...]  # between the beginning, and up, down, and up again
    lost: tuple[str, ...]  # what a downgrade takes away
    notes: tuple[str, ...]
    irreversible: str = ""  # why it did not go down again

    @property
    def locks(self) -> tuple[Held, ...]:
        """The locks of the first way up."""
        return tuple(lock for ran in self.passes[0].statements for lock in ran.locks)

    def predicted(self, lock: Held) -> float:
        """Return the seconds that a lock is held on a table as large as the original's is now."""
        return lock.seconds * self.growth.get(lock.table, 1.0)
