"""The history of upkeep in SQLite: each run and each chore, on the disk before it begins."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pgstead.host import processes, run_files
from pgstead.model.upkeep import Chore, ChoreRun, Outcome, UpkeepRun, Work
from pgstead.ports import Journal

_SCHEMA = (
    """
    CREATE TABLE IF NOT EXISTS run (
        number INTEGER PRIMARY KEY,
        cause TEXT NOT NULL,
        begun TEXT NOT NULL,
        ended TEXT,
        outcome TEXT NOT NULL,
        planned INTEGER NOT NULL,
        whole INTEGER NOT NULL,  -- all that was due was meant
        error TEXT NOT NULL DEFAULT '',
        pid INTEGER NOT NULL,
        born TEXT NOT NULL  -- when that process started: its number may be another's by now
    ) STRICT
    """,
    """
    CREATE TABLE IF NOT EXISTS chore (
        number INTEGER PRIMARY KEY,
        run INTEGER NOT NULL REFERENCES run (number) ON DELETE CASCADE,
        work TEXT NOT NULL,
        database TEXT NOT NULL,
        schema TEXT NOT NULL,
        name TEXT NOT NULL,
        on_table TEXT NOT NULL,
        reason TEXT NOT NULL,
        told_by TEXT NOT NULL,
        role TEXT NOT NULL,
        begun TEXT NOT NULL,
        ended TEXT,
        outcome TEXT NOT NULL,
        before TEXT NOT NULL,
        after TEXT NOT NULL DEFAULT '{}',
        error TEXT NOT NULL DEFAULT ''
    ) STRICT
    """,
    "CREATE INDEX IF NOT EXISTS chore_run ON chore (run)",
)
_GONE = "its process was gone"


class UpkeepFile:
    """`ports.upkeep.UpkeepHistory` in a file."""

    def __init__(self, path: Path, journal: Journal) -> None:
        """Keep where it lies; it is made with the first run."""
        self._path = path
        self._journal = journal

    def _open(self) -> AbstractContextManager[sqlite3.Connection]:
        return run_files.opened(
            self._path, "the history of upkeep", *_SCHEMA,
            may_be_removed="what is to be done is read from the server",
        )  # fmt: skip

    def begin(self, cause: str, planned: int, *, whole: bool = True) -> int:
        """Write down that a run begins; return its number."""
        me = os.getpid()
        self._journal.record("upkeep begun", cause=cause, planned=planned)
        with self._open() as opened:
            done = opened.execute(
                "INSERT INTO run (cause, begun, outcome, planned, whole, pid, born)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (cause, _now(), Outcome.RUNNING, planned, whole, me, processes.born(me)),
            )
            assert done.lastrowid is not None
            return done.lastrowid

    def end(self, run: int, outcome: Outcome, error: str = "") -> None:
        """Write down how a run ended."""
        with self._open() as opened:
            opened.execute(
                "UPDATE run SET ended = ?, outcome = ?, error = ? WHERE number = ?",
                (_now(), outcome, error, run),
            )
        self._journal.record(f"upkeep {outcome}", error=error or None)

    def begin_chore(
        self, run: int, chore: Chore, before: Mapping[str, float | None], role: str
    ) -> int:
        """Write down that a chore begins, with its figures; return its number."""
        with self._open() as opened:
            done = opened.execute(
                "INSERT INTO chore (run, work, database, schema, name, on_table, reason, told_by,"
                " role, begun, outcome, before) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(run, chore.work, chore.database, chore.schema, chore.name, chore.table),
                    *(chore.reason, chore.told_by, role, _now(), Outcome.RUNNING),
                    json.dumps(before),
                ),
            )
            assert done.lastrowid is not None
            return done.lastrowid

    def end_chore(
        self,
        number: int,
        outcome: Outcome,
        *,
        after: Mapping[str, float | None] | None = None,
        error: str = "",
    ) -> None:
        """Write down how a chore ended."""
        with self._open() as opened:
            opened.execute(
                "UPDATE chore SET ended = ?, outcome = ?, after = ?, error = ? WHERE number = ?",
                (_now(), outcome, json.dumps(after or {}), error, number),
            )
            row = opened.execute(
                "SELECT work, database, schema, name FROM chore WHERE number = ?", (number,)
            ).fetchone()
        work, database, schema, name = row
        self._journal.record(
            f"upkeep {work} {outcome}", database=database, object=f"{schema}.{name}",
            error=error or None,
        )  # fmt: skip

    def settle(self) -> int:
        """Mark what runs whose process is gone as killed; return how many runs."""
        if not self._path.exists():
            return 0
        with self._open() as opened:
            left = opened.execute(
                "SELECT number, pid, born FROM run WHERE outcome = ?", (Outcome.RUNNING,)
            ).fetchall()
            gone = [number for number, pid, born in left if processes.born(pid) != born]
            for table, column in (("chore", "run"), ("run", "number")):
                opened.executemany(
                    f"UPDATE {table} SET outcome = ?, ended = ?, error = ?"  # noqa: S608 - constants
                    f" WHERE {column} = ? AND outcome = ?",
                    [(Outcome.KILLED, _now(), _GONE, number, Outcome.RUNNING) for number in gone],
                )
            return len(gone)

    def runs(self, limit: int = 100) -> Sequence[UpkeepRun]:
        """Return the last runs, newest first."""
        if not self._path.exists():
            return ()
        with self._open() as opened:
            rows = opened.execute(
                "SELECT number, cause, begun, ended, outcome, planned, whole, error FROM run"
                " ORDER BY number DESC LIMIT ?",
                (limit,),
            ).fetchall()
        return tuple(
            UpkeepRun(
                number, cause, datetime.fromisoformat(begun), _moment(ended), Outcome(outcome),
                planned, bool(whole), error,
            )
            for number, cause, begun, ended, outcome, planned, whole, error in rows
        )  # fmt: skip

    def chores(self, limit: int = 5000, run: int | None = None) -> Sequence[ChoreRun]:
        """Return the last chores, newest first; of one run where it is named."""
        if not self._path.exists():
            return ()
        with self._open() as opened:
            rows = opened.execute(
                "SELECT number, run, work, database, schema, name, on_table, reason, told_by,"
                " role, begun, ended, outcome, before, after, error FROM chore"
                " WHERE ? IS NULL OR run = ? ORDER BY number DESC LIMIT ?",
                (run, run, limit),
            ).fetchall()
        return tuple(_chore(row) for row in rows)

    def forget(self, days: int) -> None:
        """Remove what ended longer ago."""
        limit = (datetime.now(UTC) - timedelta(days=days)).isoformat()
        with self._open() as opened:
            opened.execute("DELETE FROM run WHERE ended < ?", (limit,))


def _chore(row: tuple[str, ...]) -> ChoreRun:
    number, run, work, database, schema, name, table, reason, told_by, role = row[:10]
    begun, ended, outcome, before, after, error = row[10:]
    return ChoreRun(
        int(number), int(run), Work(work), database, schema, name, table, reason, told_by,
        datetime.fromisoformat(begun), _moment(ended), Outcome(outcome), json.loads(before),
        json.loads(after), error, role,
    )  # fmt: skip


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _now() -> str:
    return datetime.now(UTC).isoformat()
