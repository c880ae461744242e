"""The oracle of recoveries: which rows were committed by a moment, from the writer's own journal.

What is asserted: for an xid, those whose COMMIT lies not behind that one's in the WAL (commits, not
xids, are in order); for a place in the WAL, those whose COMMIT record begins at or before it; for a
name, those whose COMMIT lies before the restore point; for a time, those whose commit time as the
server keeps it (track_commit_timestamp) is not after it. With `exclusive` the one that is named is
not among them. A row whose COMMIT was sent and not answered may be there or not; nothing else may.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.fix_stead import LiveStead
from tests.live.backup.ledger_writer import hash_of, payload_of

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MAKE = """
    CREATE EXTENSION IF NOT EXISTS pg_walinspect;
    CREATE TABLE IF NOT EXISTS public.recovery_ledger (
        number bigint PRIMARY KEY, payload text NOT NULL, hash text NOT NULL
    );
"""


def lsn_number(lsn: str) -> int:
    """Return a place in the WAL as a number."""
    high, low = lsn.split("/")
    return (int(high, 16) << 32) + int(low, 16)


@dataclass(frozen=True)
class Commit:
    """An acknowledged row."""

    number: int
    xid: str
    lsn: int  # where the record of its COMMIT begins
    microseconds: int  # of its COMMIT, since 1970

    @property
    def at(self) -> datetime:
        """When it was committed, to the microsecond."""
        return EPOCH + timedelta(microseconds=self.microseconds)


@dataclass
class History:
    """What the journal says: commits in their order, rows that may be there, rows that may not."""

    commits: list[Commit] = field(default_factory=list[Commit])
    attempted: set[int] = field(default_factory=set[int])
    undone: set[int] = field(default_factory=set[int])

    @classmethod
    def read(cls, journal: Path) -> History:
        """Read what is there of a journal that is being written, up to its last whole line."""
        found = cls()
        for line in journal.read_text().rpartition("\n")[0].splitlines():
            kind, *words = line.split(maxsplit=4)
            if kind == "A":
                found.attempted.add(int(words[0]))
            elif kind == "X":
                found.undone.add(int(words[0]))
            elif kind == "K":
                number, xid, lsn, at = words
                found.commits.append(Commit(int(number), xid, lsn_number(lsn), int(at)))
        return found

    def after(self, earlier: History) -> History:
        """Return what came after an earlier reading."""
        return History(
            self.commits[len(earlier.commits) :],
            self.attempted - earlier.attempted,
            self.undone - earlier.undone,
        )

    @property
    def acknowledged(self) -> set[int]:
        """The numbers of all rows that were acknowledged."""
        return {commit.number for commit in self.commits}

    @property
    def open(self) -> set[int]:
        """Rows that were sent, and never answered: they may be there or not."""
        return self.attempted - self.acknowledged - self.undone

    def by_time(self, moment: datetime, *, exclusive: bool = False) -> set[int]:
        """Return the rows that were committed by a moment, or before it."""
        found = [c for c in self.commits if c.at < moment or (c.at == moment and not exclusive)]
        return {c.number for c in found}

    def by_lsn(self, place: int, *, exclusive: bool = False) -> set[int]:
        """Return the rows whose COMMIT begins at or before a place in the WAL, or before it."""
        found = [c for c in self.commits if c.lsn < place or (c.lsn == place and not exclusive)]
        return {c.number for c in found}

    def by_xid(self, xid: str, *, exclusive: bool = False) -> set[int]:
        """Return the rows that were committed up to that transaction's COMMIT, or before it."""
        (named,) = [c for c in self.commits if c.xid == xid]
        return self.by_lsn(named.lsn, exclusive=exclusive)


@dataclass(frozen=True)
class Rows:
    """What a server holds of the ledger."""

    numbers: frozenset[int]
    altered: tuple[int, ...]  # rows whose payload or hash is not what was written


def rows_of(rows: Iterable[Sequence[Any]]) -> Rows:
    """Take rows of number, payload and hash, and look at each."""
    numbers: list[int] = []
    altered: list[int] = []
    for number, payload, told in rows:
        numbers.append(number)
        if payload != payload_of(number) or told != hash_of(number, payload):
            altered.append(number)
    assert len(numbers) == len(set(numbers)), "a number is there twice"
    return Rows(frozenset(numbers), tuple(altered))


def differences(
    found: Rows, wanted: AbstractSet[int], may: AbstractSet[int] = frozenset()
) -> list[str]:
    """Return what is wrong with the rows of a recovery; nothing where they are right."""
    told: list[str] = []
    if missing := sorted(wanted - found.numbers):
        told.append(f"{len(missing)} rows are missing: {missing[:5]}")
    if more := sorted(found.numbers - wanted - may):
        told.append(f"{len(more)} rows are there that were not committed by then: {more[:5]}")
    if found.altered:
        told.append(f"rows were altered: {found.altered[:5]}")
    return told


class RunningLedger:
    """A writer at work, and its journal."""

    def __init__(self, stead: LiveStead, journal: Path, rate: float, first: int) -> None:
        self.journal = journal
        design = stead.wired.design
        command = [
            sys.executable, str(Path(__file__).with_name("ledger_writer.py")),
            str(design.layout.socket), str(design.settings["port"]), design.superuser,
            str(journal), str(rate), str(first),
        ]  # fmt: skip
        # what it says goes to a file: a pipe that nobody reads would hold it up one day
        with journal.with_suffix(".err").open("wb") as errors:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=errors)

    def history(self) -> History:
        """Return what was written so far."""
        assert self._process.poll() is None, self.journal.with_suffix(".err").read_text()
        return History.read(self.journal)

    def wait_for(self, more: int, seconds: float = 120) -> History:
        """Wait until that many more rows were acknowledged."""
        wanted = len(History.read(self.journal).commits) + more if self.journal.exists() else more
        end = time.monotonic() + seconds
        while not self.journal.exists() or len((found := self.history()).commits) < wanted:
            assert time.monotonic() < end, self.journal.read_text()[-500:]
            time.sleep(0.05)
        return found

    def stop(self) -> History:
        """End the writer; return all that it wrote."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        return History.read(self.journal)


@contextmanager
def written(
    stead: LiveStead, journal: Path, rate: float = 200, first: int = 1
) -> Iterator[RunningLedger]:
    """Have a ledger written all the time, by a process of its own."""
    with stead.superuser("jeex_idea") as connection:
        connection.execute(_MAKE)
    running = RunningLedger(stead, journal, rate, first)
    try:
        running.wait_for(1)
        yield running
    finally:
        running.stop()


def live_rows(stead: LiveStead) -> Rows:
    """Return what the running server holds."""
    with stead.superuser("jeex_idea") as connection:
        found = connection.execute("SELECT number, payload, hash FROM recovery_ledger").fetchall()
    return rows_of((row["number"], row["payload"], row["hash"]) for row in found)


def restored_rows(stead: LiveStead, place: Path) -> Rows:
    """Start a server on what a restore left, read the ledger, and end it."""
    backup = stead.wired.ports.backup
    assert backup is not None
    restored = backup.restored
    with restored.start(place, timeout=120) as session, session.sql.connect("jeex_idea") as opened:
        found = opened.execute("SELECT number, payload, hash FROM recovery_ledger").fetchall()
    return rows_of((row["number"], row["payload"], row["hash"]) for row in found)


def lsn_text(place: int) -> str:
    """Return a place in the WAL as PostgreSQL writes it."""
    return f"{place >> 32:X}/{place & 0xFFFFFFFF:X}"
