"""Alerts in SQLite: states, history, silences, what was told.

With a rollback journal: commands write silences here beside the agent, services only read, and
another user may read such a file whole without the -shm that WAL mode needs. What a killed writer
left is rolled back by the next one who opens the file and may write, also who only reads.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Generator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pgstead.errors import StateDirectoryError
from pgstead.host import readable
from pgstead.model.alerts import (
    AlertState,
    Phase,
    Silence,
    TargetState,
    Told,
    Transition,
)

_SCHEMA = """
    CREATE TABLE IF NOT EXISTS alert (
        name TEXT PRIMARY KEY,
        phase TEXT NOT NULL,
        since REAL NOT NULL,  -- Unix time, as all that is REAL and not held or value
        held REAL NOT NULL,  -- seconds of a clock that nobody sets
        at REAL NOT NULL,
        value REAL,
        reason TEXT NOT NULL
    ) STRICT;
    CREATE TABLE IF NOT EXISTS change (
        number INTEGER PRIMARY KEY,
        name TEXT NOT NULL,
        was TEXT NOT NULL,
        became TEXT NOT NULL,
        at REAL NOT NULL,
        value REAL,
        reason TEXT NOT NULL
    ) STRICT;
    CREATE TABLE IF NOT EXISTS silence (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL,
        until REAL NOT NULL,
        reason TEXT NOT NULL,
        by TEXT NOT NULL,
        made REAL NOT NULL
    ) STRICT;
    CREATE TABLE IF NOT EXISTS told (
        target TEXT NOT NULL,
        name TEXT NOT NULL,
        phase TEXT NOT NULL,
        at REAL NOT NULL,
        PRIMARY KEY (target, name)
    ) STRICT;
    CREATE TABLE IF NOT EXISTS target (
        name TEXT PRIMARY KEY,
        ok REAL,
        failed REAL,
        error TEXT NOT NULL,
        failures INTEGER NOT NULL
    ) STRICT;
"""


class AlertFile:
    """`ports.alerts.AlertStore` in a file."""

    def __init__(self, path: Path, readers: str) -> None:
        """Keep where it lies; it is made by who writes first."""
        self._path = path
        self._readers = readers

    def states(self) -> tuple[AlertState, ...]:
        """Return every alert as it was evaluated last."""
        rows = self._read("SELECT name, phase, since, held, at, value, reason FROM alert")
        return tuple(
            AlertState(name, Phase(phase), _moment(since), held, _moment(at), value, reason)
            for name, phase, since, held, at, value, reason in rows
        )

    def keep(self, states: Sequence[AlertState], changes: Sequence[Transition]) -> None:
        """Replace all states, and add to the history."""
        with self._writing() as opened:
            opened.execute("DELETE FROM alert")
            opened.executemany(
                "INSERT INTO alert VALUES (?, ?, ?, ?, ?, ?, ?)",
                [
                    (s.name, s.phase, s.since.timestamp(), s.held, s.at.timestamp(), s.value,
                     s.reason)
                    for s in states
                ],
            )  # fmt: skip
            opened.executemany(
                "INSERT INTO change (name, was, became, at, value, reason)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                [(c.name, c.was, c.became, c.at.timestamp(), c.value, c.reason) for c in changes],
            )

    def history(self, limit: int = 100) -> tuple[Transition, ...]:
        """Return the last changes, newest first."""
        rows = self._read(
            "SELECT name, was, became, at, value, reason FROM change"
            " ORDER BY number DESC LIMIT ?", limit,
        )  # fmt: skip
        return tuple(
            Transition(name, Phase(was), Phase(became), _moment(at), value, reason)
            for name, was, became, at, value, reason in rows
        )

    def forget(self, before: datetime) -> None:
        """Remove the history and the silences that ended before a moment."""
        with self._writing() as opened:
            opened.execute("DELETE FROM change WHERE at < ?", (before.timestamp(),))
            opened.execute("DELETE FROM silence WHERE until < ?", (before.timestamp(),))

    def silence(self, name: str, until: datetime, reason: str, by: str) -> Silence:
        """Have an alert, or those of a pattern, not told for a while."""
        made = datetime.now(UTC)
        with self._writing() as opened:
            done = opened.execute(
                "INSERT INTO silence (name, until, reason, by, made) VALUES (?, ?, ?, ?, ?)",
                (name, until.timestamp(), reason, by, made.timestamp()),
            )
            assert done.lastrowid is not None
            return Silence(done.lastrowid, name, until, reason, by, made)

    def end_silence(self, number: int) -> bool:
        """End a silence; False where there is none of that number."""
        now = datetime.now(UTC).timestamp()
        with self._writing() as opened:
            done = opened.execute(
                "UPDATE silence SET until = ? WHERE number = ? AND until > ?", (now, number, now)
            )
            return done.rowcount > 0

    def silences(self) -> tuple[Silence, ...]:
        """Return those that are kept, ended ones too."""
        rows = self._read("SELECT number, name, until, reason, by, made FROM silence")
        return tuple(
            Silence(number, name, _moment(until), reason, by, _moment(made))
            for number, name, until, reason, by, made in rows
        )

    def told(self, target: str) -> tuple[Told, ...]:
        """Return what a target was told last of each alert."""
        rows = self._read("SELECT name, phase, at FROM told WHERE target = ?", target)
        return tuple(Told(target, name, Phase(phase), _moment(at)) for name, phase, at in rows)

    def tell(self, target: str, phases: Sequence[tuple[str, Phase]], at: datetime) -> None:
        """Write down what a target has taken."""
        rows = [(target, name, phase, at.timestamp()) for name, phase in phases]
        with self._writing() as opened:
            opened.executemany("INSERT OR REPLACE INTO told VALUES (?, ?, ?, ?)", rows)

    def targets(self) -> tuple[TargetState, ...]:
        """Return how telling each target went."""
        rows = self._read("SELECT name, ok, failed, error, failures FROM target ORDER BY name")
        return tuple(
            TargetState(name, _moment_or_none(ok), _moment_or_none(failed), error, failures)
            for name, ok, failed, error, failures in rows
        )

    def keep_targets(self, states: Sequence[TargetState]) -> None:
        """Replace how telling each target went."""
        rows = [
            (s.name, s.ok and s.ok.timestamp(), s.failed and s.failed.timestamp(), s.error,
             s.failures)
            for s in states
        ]  # fmt: skip
        with self._writing() as opened:
            opened.execute("DELETE FROM target")
            opened.executemany("INSERT INTO target VALUES (?, ?, ?, ?, ?)", rows)

    def _read(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        if not self._path.exists():
            return []
        try:
            # not `ro`: that could not roll back, and what reads first would never come to write;
            # who may not write gets it read-only all the same (https://www.sqlite.org/c3ref/open.html)
            reading = sqlite3.connect(f"{self._path.as_uri()}?mode=rw", uri=True, timeout=5)
            with closing(reading):
                return reading.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            if "no such table" in str(error):  # made by now, and not filled
                return []
            if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_READONLY:
                raise _half_written(self._path) from error
            raise _unusable(self._path, error) from error

    @contextmanager
    def _writing(self) -> Generator[sqlite3.Connection]:
        try:
            readable.make(self._path, self._readers)
            with closing(sqlite3.connect(self._path, timeout=10, isolation_level=None)) as opened:
                opened.execute("PRAGMA synchronous = NORMAL")
                opened.executescript(_SCHEMA)
                opened.execute("BEGIN IMMEDIATE")
                yield opened
                opened.execute("COMMIT")
        except (sqlite3.Error, OSError) as error:
            raise _unusable(self._path, error) from error


def _moment(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)


def _moment_or_none(at: float | None) -> datetime | None:
    return None if at is None else _moment(at)


def _half_written(path: Path) -> StateDirectoryError:
    return StateDirectoryError(
        f"who wrote the alerts in {path} was killed, and this user may not put them right",
        hint="the agent does it with its next look; `pgstead up` starts one that is gone",
    )


def _unusable(path: Path, error: Exception) -> StateDirectoryError:
    return StateDirectoryError(
        f"the alerts in {path} cannot be used: {error}",
        hint="free space there (`df -h`); a damaged file may be removed: rules are evaluated anew,"
        " and only history and silences are lost",
    )
