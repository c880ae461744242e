"""What each statement of a rehearsal does: `app.migration_statements.Observer` by looking on."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pgstead.app.migration_watch import shown
from pgstead.model.rehearsal import Held, Ran
from pgstead.observe.lock_watch import INTERVAL, LockWatch
from pgstead.observe.sql_files import query

if TYPE_CHECKING:
    import psycopg

# Alembic's own: every revision has it, and nobody waits for it.
_OF_ALEMBIC = ("INSERT INTO alembic_version", "UPDATE alembic_version", "DELETE FROM alembic_v")


@dataclass
class StatementWatch:
    """Notes begin and end of each statement, WAL and disk that it took, and rewritten tables."""

    watch: LockWatch
    major: int
    tell: Callable[[str], None]
    _ran: list[Ran] = field(default_factory=list[Ran])
    _files: dict[str, int] = field(default_factory=dict[str, int])
    _open: Ran | None = None
    _revision: str = ""
    _direction: str = ""

    def begins(self, revision: str, direction: str) -> None:
        """Take note of the revision; what was open has failed."""
        self._close()
        self._revision, self._direction = revision, direction
        self.tell(f"{direction}: {revision}")

    def before(self, statement: str) -> None:
        """Look at locks, WAL and disk as they are."""
        self._close()
        if statement.lstrip().startswith(_OF_ALEMBIC):
            return
        disk, wal = self.watch.disk(), self.watch.wal()
        self.watch.look()
        self._open = Ran(
            self._revision,
            self._direction,
            shown(statement),
            time.monotonic(),
            0.0,
            wal=wal,
            disk=disk,
        )

    def after(self, work: psycopg.Connection[Any]) -> None:
        """Look again, before the transaction ends: its locks are all held still."""
        if self._open is None:
            return
        took = time.monotonic() - self._open.began
        self.watch.look()
        self._ran.append(
            replace(
                self._open,
                seconds=took,
                wal=self.watch.wal() - self._open.wal,
                disk=self.watch.peak() - self._open.disk,
                rewritten=self._rewritten(work),
            )
        )
        self._open = None

    def expect(self, files: Mapping[str, int]) -> None:
        """Take the files of the tables as they are before the first statement."""
        self._files = dict(files)

    def statements(self, held: Sequence[Held]) -> tuple[Ran, ...]:
        """Return what ran, each with the locks that it was the first to take."""
        self._close()
        ends = [*(ran.began for ran in self._ran[1:]), float("inf")]
        return tuple(
            replace(ran, locks=_taken(ran, end, held))
            for ran, end in zip(self._ran, ends, strict=False)  # no statement, and yet an end
        )

    def _close(self) -> None:
        if self._open is not None:
            seconds = time.monotonic() - self._open.began
            self._ran.append(replace(self._open, seconds=seconds, wal=0, disk=0, failed=True))
            self._open = None

    def _rewritten(self, work: psycopg.Connection[Any]) -> tuple[str, ...]:
        """Ask in the transaction itself: nobody else sees the new file before its end."""
        now = files_of(work.execute(query("table_files", self.major)).fetchall())
        before, self._files = self._files, now
        return tuple(name for name, file in now.items() if before.get(name, file) != file)


def files_of(rows: Sequence[Sequence[Any]]) -> dict[str, int]:
    """Return the file of each table, of rows of the query `table_files`."""
    return {str(name): int(file) for name, file in rows}


def _taken(ran: Ran, until: float, held: Sequence[Held]) -> tuple[Held, ...]:
    """Return the locks that were taken from a statement's begin to the next one's, gravest first.

    What is locked more strongly already is left out: a weaker lock stops nobody in addition.
    """
    taken = [lock for lock in held if ran.began <= lock.began < until]
    kept = [lock for lock in taken if not any(_covers(other, lock) for other in held)]
    return tuple(sorted(kept, key=lambda lock: (_weakness(lock), lock.table)))


def _covers(other: Held, lock: Held) -> bool:
    """Say whether another lock on the table stops as many, from no later on and as long."""
    if other is lock or other.table != lock.table or _weakness(other) > _weakness(lock):
        return False
    if _weakness(other) == _weakness(lock) and (other.began, other.mode) >= (lock.began, lock.mode):
        return False
    ends = other.began + other.seconds, lock.began + lock.seconds
    return other.began <= lock.began and ends[0] >= ends[1] - INTERVAL


def _weakness(lock: Held) -> int:
    return 0 if lock.stops_readers else 1 if lock.stops_writers else 2
