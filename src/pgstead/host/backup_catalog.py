"""The catalog: each run of a backup, a drill, a job that cares for data; on the disk beforehand.

SQLite, because a line that was being written when the power went must not take the others along,
and because the agent writes while a command reads.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from pgstead.host import processes, run_files
from pgstead.model.backup import Ending, Run, Task
from pgstead.ports import Journal

_SCHEMA = """
    CREATE TABLE IF NOT EXISTS run (
        number INTEGER PRIMARY KEY,
        task TEXT NOT NULL,
        backup TEXT NOT NULL DEFAULT '',
        begun TEXT NOT NULL,
        ended TEXT,
        ending TEXT NOT NULL,
        cause TEXT NOT NULL,
        detail TEXT NOT NULL DEFAULT '{}',
        error TEXT NOT NULL DEFAULT '',
        pid INTEGER NOT NULL,
        born TEXT NOT NULL  -- when that process started: its number may be another's by now
    ) STRICT
"""
_GONE = "its process was gone"
_COLUMNS = "number, task, backup, begun, ended, ending, cause, detail, error"


class BackupCatalog:
    """`ports.BackupCatalog` in a file."""

    def __init__(self, path: PurePosixPath, journal: Journal) -> None:
        """Keep where it lies; it is made with the first run.

        Who did what is told to the journal too: it is what an auditor reads (BAK-4).
        """
        self._path = Path(path)
        self._journal = journal

    def _open(self) -> AbstractContextManager[sqlite3.Connection]:
        return run_files.opened(
            self._path, "the catalog", _SCHEMA,
            may_be_removed="the runs are forgotten then, and nothing of what they did",
        )  # fmt: skip

    def begin(self, task: Task, cause: str, backup: str = "") -> int:
        """Write down that a run begins; return its number."""
        me = os.getpid()
        self._journal.record(f"{task} begun", backup=backup or None, cause=cause)
        with self._open() as opened:
            done = opened.execute(
                "INSERT INTO run (task, backup, begun, ending, cause, pid, born)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (task, backup, _now(), Ending.RUNNING, cause, me, processes.born(me)),
            )
            assert done.lastrowid is not None
            return done.lastrowid

    def note(self, number: int, detail: Mapping[str, object]) -> None:
        """Write down what it has come to so far: what is known of it if it is killed."""
        with self._open() as opened:
            opened.execute(
                "UPDATE run SET detail = ? WHERE number = ?",
                (json.dumps(detail, default=str), number),
            )

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
        with self._open() as opened:
            opened.execute(
                "UPDATE run SET ended = ?, ending = ?, error = ?, detail = ?,"
                " backup = coalesce(?, backup) WHERE number = ?",
                (_now(), ending, error, json.dumps(detail or {}, default=str), backup, number),
            )
            task, about = opened.execute(
                "SELECT task, backup FROM run WHERE number = ?", (number,)
            ).fetchone()
        self._journal.record(f"{task} {ending}", backup=about or None, error=error or None)

    def settle(self) -> int:
        """Mark the runs whose process is gone as killed; return how many."""
        with self._open() as opened:
            left = opened.execute(
                "SELECT number, task, backup, detail, pid, born FROM run WHERE ending = ?",
                (Ending.RUNNING,),
            ).fetchall()
            gone = [found for *found, pid, born in left if processes.born(pid) != born]
            for number, task, backup, detail in gone:
                told = json.loads(detail).get("told")
                error = f"{_GONE}; {told}" if told else _GONE
                done = opened.execute(
                    "UPDATE run SET ending = ?, ended = ?, error = ?"
                    " WHERE number = ? AND ending = ?",
                    (Ending.KILLED, _now(), error, number, Ending.RUNNING),
                )
                if done.rowcount:  # of several that settle at once one tells it
                    event = f"{task} {Ending.KILLED}"
                    self._journal.record(event, backup=backup or None, error=error)
            return len(gone)

    def runs(self, task: Task | None = None, *, limit: int = 1000) -> tuple[Run, ...]:
        """Return the last runs, newest first."""
        if not self._path.exists():
            return ()
        where = "" if task is None else "WHERE task = ?"
        values = () if task is None else (task,)
        with self._open() as opened:
            rows = opened.execute(
                f"SELECT {_COLUMNS} FROM run {where} ORDER BY number DESC LIMIT ?",  # noqa: S608 - constants
                (*values, limit),
            ).fetchall()
        return tuple(
            Run(
                number,
                Task(kind),
                backup,
                datetime.fromisoformat(begun),
                None if ended is None else datetime.fromisoformat(ended),
                Ending(ending),
                cause,
                json.loads(detail),
                error,
            )
            for number, kind, backup, begun, ended, ending, cause, detail, error in rows
        )


def _now() -> str:
    return datetime.now(UTC).isoformat()
