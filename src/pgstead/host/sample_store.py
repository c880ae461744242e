"""Samples in SQLite: what was seen survives kills, stays bounded, and is read by other users.

The agent alone writes, and keeps the file open: services run as another user, who may read the
directory but not write to it, and a WAL-mode database can be read like that only while its -shm
and -wal exist (https://www.sqlite.org/wal.html#read_only_databases).
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
import time
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pgstead.errors import StateDirectoryError
from pgstead.host import readable
from pgstead.model.availability import Slot
from pgstead.model.sample_tables import (
    HISTORY,
    NEWEST,
    NOTE,
    SLOTS,
    STATEMENTS,
    TABLES,
    VERDICTS,
    VERSION,
)
from pgstead.model.statements import Counts, StatementKey, StatementWindow
from pgstead.model.telemetry import LASTING, Check, Level, Metric, Sample, Threshold, Verdict


class SampleFile:
    """`ports.telemetry.SampleStore` in a file."""

    def __init__(self, path: Path, readers: str) -> None:
        """Keep where it lies, and which OS user may read it beside us."""
        self._path = path
        self._readers = readers
        self._opened: sqlite3.Connection | None = None
        self._turn = threading.Lock()

    def close(self) -> None:
        """Let go of the file."""
        with self._turn:
            self._forget()

    def declare(self, metrics: Iterable[tuple[Metric, float]]) -> None:
        """Write down what is measured, and after how many seconds a sample is stale."""
        rows = [(m.name, m.kind.value, m.unit, m.description, stale) for m, stale in metrics]
        with self._writing() as opened:
            opened.execute("DELETE FROM metric")
            opened.executemany("INSERT OR REPLACE INTO metric VALUES (?, ?, ?, ?, ?)", rows)

    def write(self, samples: Sequence[Sample]) -> None:
        """Add samples, all or none. Raises StateDirectoryError."""
        with self._writing() as opened:
            for sample in samples:
                at = sample.at.timestamp()
                told = json.dumps(dict(sorted(sample.attributes)), separators=(",", ":"))
                (number,) = opened.execute(
                    "INSERT INTO series (metric, attributes, at, value, reason)"
                    " VALUES (?, ?, ?, ?, ?) ON CONFLICT (metric, attributes) DO UPDATE"
                    " SET at = excluded.at, value = excluded.value, reason = excluded.reason"
                    " RETURNING number",
                    (sample.metric, told, at, sample.value, sample.reason),
                ).fetchone()
                opened.execute(
                    "INSERT OR REPLACE INTO sample VALUES (?, ?, ?)", (number, at, sample.value)
                )

    def write_statements(self, windows: Sequence[StatementWindow]) -> None:
        """Add windows of statements, all or none. Raises StateDirectoryError."""
        with self._writing() as opened:
            for window in windows:
                key, counts = window.key, window.counts
                (number,) = opened.execute(
                    "INSERT INTO statement (datname, usename, queryid, query) VALUES (?, ?, ?, ?)"
                    " ON CONFLICT (datname, usename, queryid) DO UPDATE SET query ="
                    " CASE excluded.query WHEN '' THEN query ELSE excluded.query END"
                    " RETURNING number",
                    (key.database, key.role, key.queryid, window.query),
                ).fetchone()
                opened.execute(
                    "INSERT OR REPLACE INTO statement_window VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        *(number, window.begun.timestamp(), window.ended.timestamp()),
                        *(counts.calls, counts.seconds, counts.rows),
                        *(counts.blocks_read, counts.temp_bytes),
                    ),
                )

    def judge(self, verdicts: Sequence[tuple[Check, Threshold, Verdict]]) -> None:
        """Write down what the checks came to."""
        rows = [
            (
                *(check.name, check.unit, threshold.warning, threshold.critical),
                *(int(threshold.falling), int(check.serving), check.description),
                *(found.level.value, found.since.timestamp(), found.at.timestamp()),
                *(found.value, found.reason),
            )
            for check, threshold, found in verdicts
        ]
        with self._writing() as opened:
            opened.execute("DELETE FROM verdict")
            opened.executemany(
                "INSERT INTO verdict VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows
            )

    def note(self, name: str, body: object) -> None:
        """Write down what services show and may not read themselves. JSON."""
        text = json.dumps(body, separators=(",", ":"), default=str)
        with self._writing() as opened:
            opened.execute(
                "INSERT OR REPLACE INTO note VALUES (?, ?, ?)", (name, time.time(), text)
            )

    def noted(self, name: str) -> Any:
        """Return the body of a note, None where there is none. Raises StateDirectoryError."""
        return next((json.loads(body) for _, body in self._read(NOTE, name)), None)

    def slots(self, seconds: float, since: datetime) -> Sequence[Slot]:
        """Return how server and pooler answered, by slots of some seconds since a moment."""
        return tuple(
            Slot(metric, number, count, share)
            for metric, number, count, share in self._read(SLOTS, seconds, since.timestamp())
        )

    def forget(self, before: datetime, lasting_before: datetime) -> None:
        """Remove what is older; the metrics of availability by a moment of their own."""
        marks = ", ".join("?" * len(LASTING))
        lasting = f"SELECT number FROM series WHERE metric IN ({marks})"  # noqa: S608 - marks
        with self._writing() as opened:
            opened.execute(
                f"DELETE FROM sample WHERE at < ? AND series NOT IN ({lasting})",  # noqa: S608
                (before.timestamp(), *LASTING),
            )
            opened.execute("DELETE FROM sample WHERE at < ?", (lasting_before.timestamp(),))
            opened.execute("DELETE FROM statement_window WHERE ended < ?", (before.timestamp(),))
            opened.execute(
                "DELETE FROM statement WHERE number NOT IN (SELECT statement FROM statement_window)"
            )
            opened.execute(
                "DELETE FROM series WHERE at < ? AND number NOT IN (SELECT series FROM sample)",
                (before.timestamp(),),
            )

    def statements(self, since: datetime) -> Sequence[StatementWindow]:
        """Return the windows of statements that ended since a moment, by time."""
        return tuple(
            StatementWindow(
                StatementKey(*told[:3]), told[3], _moment(began), _moment(ended), Counts(*counts)
            )
            for *told, began, ended, calls, seconds, rows, blocks, temporary in self._read(
                STATEMENTS, since.timestamp()
            )
            for counts in [(calls, seconds, rows, blocks, temporary)]
        )

    def verdicts(self) -> Sequence[Verdict]:
        """Return what the checks came to last."""
        return tuple(
            Verdict(name, Level(level), _moment(since), _moment(at), value, reason)
            for name, *_, level, since, at, value, reason in self._read(VERDICTS)
        )

    def newest(self) -> Sequence[Sample]:
        """Return the newest sample of each series, however old."""
        return tuple(
            Sample(name, value, _moment(at), tuple(json.loads(told).items()), reason)
            for name, _kind, _unit, _text, told, at, value, reason, _stale in self._read(NEWEST)
        )

    def history(self, metric: str, since: datetime) -> Sequence[Sample]:
        """Return the samples of a metric since a moment, by series and then by time."""
        return tuple(
            Sample(metric, value, _moment(at), tuple(json.loads(told).items()))
            for told, at, value in self._read(HISTORY, metric, since.timestamp())
        )

    def _read(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        if not self._path.exists():
            return []
        try:
            with self._turn:
                if self._opened is not None:
                    return self._opened.execute(statement, values).fetchall()
            reading = sqlite3.connect(f"{self._path.as_uri()}?mode=ro", uri=True, timeout=5)
            with contextlib.closing(reading):
                # the agent makes the file, and a moment later all of its tables at once
                begun = _must_be_ours(reading)
                return reading.execute(statement, values).fetchall() if begun else []
        except sqlite3.Error as error:
            raise _unusable(self._path, error) from error

    @contextmanager
    def _writing(self) -> Generator[sqlite3.Connection]:
        """Give a transaction. A damaged file is set aside, and said: the next one begins anew."""
        with self._turn:
            try:
                opened = self._opened = self._opened or self._open()
                opened.execute("BEGIN IMMEDIATE")
                yield opened
                opened.execute("COMMIT")
            except sqlite3.Error as error:
                self._forget()
                # damaged; its subclasses say that it is full, locked, read-only
                if type(error) is sqlite3.DatabaseError:
                    raise self._set_aside(str(error)) from error
                raise _unusable(self._path, error) from error
            except BaseException:
                self._forget()
                raise

    def _open(self) -> sqlite3.Connection:
        self._make()
        opened = sqlite3.connect(
            self._path, timeout=10, isolation_level=None, check_same_thread=False
        )
        try:
            opened.execute("PRAGMA journal_mode = WAL")
            opened.execute("PRAGMA synchronous = NORMAL")  # a power cut costs the last samples
            _must_be_ours(opened)
            # at once: who reads meanwhile finds all of them, or a file that has not begun
            opened.executescript(
                f"BEGIN IMMEDIATE; {TABLES} PRAGMA user_version = {VERSION}; COMMIT"
            )
        except BaseException:
            opened.close()
            raise
        return opened

    def _make(self) -> None:
        """Make directory and file so that the services may read them, and nobody else."""
        try:
            readable.make(self._path, self._readers)
        except OSError as error:
            raise _unusable(self._path, error) from error

    def _set_aside(self, why: str) -> StateDirectoryError:
        aside = self._path.with_name(f"{self._path.name}.broken-{int(time.time())}")
        for suffix in ("", "-wal", "-shm"):
            part = Path(f"{self._path}{suffix}")
            with contextlib.suppress(OSError):
                part.replace(f"{aside}{suffix}")
        return StateDirectoryError(
            f"the samples in {self._path} were damaged ({why}), and begin anew",
            hint=f"what was there lies in {aside}",
        )

    def _forget(self) -> None:
        opened, self._opened = self._opened, None
        if opened is not None:
            with contextlib.suppress(sqlite3.Error):
                opened.close()


def _must_be_ours(opened: sqlite3.Connection) -> bool:
    """Return whether its tables are made. Raises DatabaseError."""
    (version,) = opened.execute("PRAGMA user_version").fetchone()
    if version not in (0, VERSION):
        raise sqlite3.DatabaseError(f"they are of version {version}")
    return bool(version)


def _moment(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)


def _unusable(path: Path, error: Exception) -> StateDirectoryError:
    return StateDirectoryError(
        f"the samples in {path} cannot be used: {error}",
        hint="free space there (`df -h`, `df -i`), and let this user write to it",
    )
