"""The batches of a backfill, one after the other, until there is no row left."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import dataclass, replace

import psycopg

from pgstead.app.staged import pace as pacing
from pgstead.app.staged.catalog import Table
from pgstead.app.staged.pace import Pace
from pgstead.app.staged.stages import Row, StagedError, Stages, quoted, rows
from pgstead.errors import BusyError

_log = logging.getLogger("alembic.pgstead")

_TRIES = 40  # of one batch that meets a lock
_TELL = 2.0  # seconds between two words about the progress
_BAR = 20  # characters
_BUSY = frozenset({"55P03", "40P01"})  # a lock not to be had in time, a deadlock
_CANCELED = "57014"  # statement_timeout, or somebody's cancel
_OF_ROWS = ("22", "23")  # classes of errors that a row's values make

_BEGIN = """
    INSERT INTO pgstead_migrations.backfill (revision, name) VALUES (%(revision)s, %(name)s)
    ON CONFLICT DO NOTHING
"""
_LOCK = """
    SELECT position::text AS position, visited, changed, finished FROM pgstead_migrations.backfill
    WHERE revision = %(revision)s AND name = %(name)s FOR UPDATE
"""
_MOVE = """
    UPDATE pgstead_migrations.backfill
    SET position = %(position)s::jsonb, visited = visited + %(visited)s,
        changed = changed + %(changed)s, finished = %(finished)s, at = clock_timestamp()
    WHERE revision = %(revision)s AND name = %(name)s
"""


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be done to the rows."""

    name: str
    sets: str  # SQL behind SET
    where: str | None
    pace: Pace

    @property
    def filter(self) -> str:
        """The condition as it stands behind those of the key."""
        return f" AND ({self.where})" if self.where else ""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far it is."""

    position: str | None  # the key of the last row that was visited, as a JSON array
    visited: int
    changed: int
    finished: bool


def run(stages: Stages, table: Table, work: Work) -> None:
    """Do what is left of a backfill. Raises StagedError for a row that cannot be computed."""
    _Batches(stages, table, work).run()


class _Batches:
    def __init__(self, stages: Stages, table: Table, work: Work) -> None:
        self._driver = stages.driver
        self._beside = stages.running.beside
        self._table, self._work = table, work
        revision, direction = stages.running.step
        self._me = {"revision": revision, "name": f"{direction} {work.name}"}
        self._keys = ", ".join(quoted(k.name) for k in table.key)
        self._size = work.pace.first_size()
        self._failures = 0
        self._began = self._told = time.monotonic()
        self._before = 0  # visited by earlier runs
        self._total = 0

    def run(self) -> None:
        self._driver.execute(_BEGIN, self._me)
        self._total = self._estimated()
        progress = self._batch(0)
        self._before = progress.visited
        if progress.position and not progress.finished:
            _log.info("going on with the backfill of %s: %d visited", *self._said(progress))
        while not progress.finished:
            pacing.wait(self._work.pace, self._beside, self._driver.info.backend_pid)
            progress = self._tried()
            self._tell(progress)
        _log.info(
            "backfill of %s: done, %d rows visited, %d changed",
            *(*self._said(progress), progress.changed),
        )

    def _said(self, progress: Progress) -> tuple[str, int]:
        return self._work.name, progress.visited

    def _tried(self) -> Progress:
        """Do one batch; where it fails, wait or make it smaller, and do it again."""
        began = time.monotonic()
        try:
            progress = self._batch(self._size)
        except psycopg.Error as error:
            self._failed(error)
            return self._batch(0)
        self._failures = 0
        self._size = self._work.pace.next_size(self._size, time.monotonic() - began)
        return progress

    def _failed(self, error: psycopg.Error) -> None:
        """Get ready for another try, or raise."""
        state = error.sqlstate or ""
        if state.startswith(_OF_ROWS):
            if self._size == 1:
                raise self._impossible(error) from error
            self._size = max(1, self._size // 8)  # so the row is found that makes it
            return
        if state not in _BUSY and not (state == _CANCELED and self._size > 1):
            raise error
        self._failures += 1
        if self._failures >= _TRIES:
            raise BusyError(
                f"rows of {self._table.name} were locked in {_TRIES} tries of one batch",
                hint="run it again when who locks them has ended: it goes on where it is",
            ) from error
        self._size = max(1, self._size // 2)
        time.sleep(self._work.pace.pause)

    def _impossible(self, error: psycopg.Error) -> StagedError:
        """Return the error for the first row that is not done. The server's words hold values."""
        with self._driver.transaction():
            progress = self._locked()
            key = self._span(progress.position, 1)
        told = ", ".join(map(str, json.loads(key["upto"]))) if key else "?"
        return StagedError(
            f"the row {told} of {self._table.name} cannot be filled: {type(error).__name__}"
            f" ({error.sqlstate}) at SET {self._work.sets}",
            hint=f"mend that row or the expression; {progress.visited} rows before it are done,"
            " and the next run goes on behind them",
        )

    def _batch(self, size: int) -> Progress:
        """Visit so many rows in one transaction; with none, only say how far it is."""
        with self._driver.transaction():
            progress = self._locked()
            if progress.finished or not size:
                return progress
            span = self._span(progress.position, size)
            if not span:
                self._move(progress.position, 0, 0, finished=True)
                return replace(progress, finished=True)
            changed = self._change(progress.position, span["upto"])
            self._move(span["upto"], span["visited"], changed, finished=False)
            return Progress(
                position=span["upto"],
                visited=progress.visited + span["visited"],
                changed=progress.changed + changed,
                finished=False,
            )

    def _locked(self) -> Progress:
        (row,) = rows(self._driver, _LOCK, **self._me)
        return Progress(row["position"], row["visited"], row["changed"], row["finished"])

    def _span(self, position: str | None, size: int) -> Row:
        """Return the key that a batch goes up to, and how many rows that are; none at the end."""
        last = ", ".join(f"{quoted(k.name)} DESC" for k in self._table.key)
        behind = f"WHERE {self._beyond('>', 'position')}" if position is not None else ""
        upto = f"jsonb_build_array({self._keys})::text"
        query = (
            f"SELECT count(*) OVER () AS visited, {upto} AS upto"  # noqa: S608 - names are quoted
            f" FROM (SELECT {self._keys} FROM {self._table.sql} {behind}"
            f" ORDER BY {self._keys} LIMIT {size}) AS pgstead_s ORDER BY {last} LIMIT 1"
        )
        found = rows(self._driver, query, position=position)
        return found[0] if found else {}

    def _change(self, position: str | None, upto: str) -> int:
        behind = f"{self._beyond('>', 'position')} AND " if position is not None else ""
        sets, only = (text.replace("%", "%%") for text in (self._work.sets, self._work.filter))
        statement = (
            f"UPDATE {self._table.sql} SET {sets}"  # noqa: S608 - SQL of the revision's author
            f" WHERE {behind}{self._beyond('<=', 'upto')}{only}"
        )
        values = {"position": position, "upto": upto}
        return self._driver.execute(statement.encode(), values, prepare=False).rowcount

    def _beyond(self, operator: str, name: str) -> str:
        """Return a comparison of keys, as rows: the index of the key serves it."""
        bound = ", ".join(
            f"(%({name})s::jsonb ->> {place})::{key.type}"
            for place, key in enumerate(self._table.key)
        )
        return f"({self._keys}) {operator} ({bound})"

    def _move(self, position: str | None, visited: int, changed: int, *, finished: bool) -> None:
        moved = {"position": position, "visited": visited, "changed": changed}
        self._driver.execute(_MOVE, {**moved, "finished": finished, **self._me})

    def _estimated(self) -> int:
        """Return how many rows there are by the planner, who looks at the size of the file."""
        query = f"EXPLAIN (FORMAT JSON) SELECT FROM {self._table.sql}"
        row = self._driver.execute(query.encode()).fetchone()
        return int(row[0][0]["Plan"]["Plan Rows"]) if row is not None else 0

    def _tell(self, progress: Progress) -> None:
        now = time.monotonic()
        if progress.finished or now - self._told < _TELL:
            return
        self._told = now
        _log.info(
            "backfill of %s: %s",
            self._work.name,
            bar(progress.visited, self._total, progress.visited - self._before, now - self._began),
        )


def bar(visited: int, total: int, now: int, seconds: float) -> str:
    """Return how far it is: a bar, the rows, their rate, and what is left.

    `now` are the rows of this run, which took so many seconds.
    """
    rate = now / max(seconds, 0.001)
    share = min(visited / max(total, visited, 1), 1.0)
    full = round(share * _BAR)
    left = f"{max(total - visited, 0) / rate:.0f} s left" if rate else "stands still"
    return (
        f"[{'#' * full}{'.' * (_BAR - full)}] {share:.0%}, {visited} of about {total} rows,"
        f" {rate:.0f}/s, {left}"
    )
