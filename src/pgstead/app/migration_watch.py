"""Who is in a migration's way, and how far a long statement is: looked at from beside."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Mapping
from typing import Any, cast

import psycopg
from psycopg.rows import dict_row

TELL_AFTER = 2.0  # seconds that a statement may take in silence
_AGAIN = 10.0  # seconds between two words about the same statement
_LONGEST = 100  # characters of a statement that are shown

_log = logging.getLogger("alembic.pgstead")

_BLOCKERS = """
    SELECT b.pid, b.usename AS role, b.application_name AS program, b.state, b.query,
           extract(epoch FROM clock_timestamp() - b.xact_start)::float8 AS seconds
    FROM pg_stat_activity AS me
    CROSS JOIN LATERAL unnest(pg_blocking_pids(me.pid)) AS p(pid)
    JOIN pg_stat_activity AS b ON b.pid = p.pid
    WHERE me.pid = %(pid)s AND me.wait_event_type = 'Lock'
    ORDER BY b.xact_start
"""
_PROGRESS = """
    SELECT command || ', ' || phase AS what, greatest(blocks_done, tuples_done) AS done,
           CASE WHEN blocks_done >= tuples_done THEN blocks_total ELSE tuples_total END AS total
    FROM pg_stat_progress_create_index WHERE pid = %(pid)s
    UNION ALL
    SELECT command || ', ' || phase, heap_blks_scanned, heap_blks_total
    FROM pg_stat_progress_cluster WHERE pid = %(pid)s
    UNION ALL
    SELECT 'VACUUM, ' || phase, heap_blks_scanned, heap_blks_total
    FROM pg_stat_progress_vacuum WHERE pid = %(pid)s
    UNION ALL
    SELECT 'ANALYZE, ' || phase, sample_blks_scanned, sample_blks_total
    FROM pg_stat_progress_analyze WHERE pid = %(pid)s
    UNION ALL
    SELECT command, bytes_processed, nullif(bytes_total, 0)
    FROM pg_stat_progress_copy WHERE pid = %(pid)s
"""


class Watcher:
    """A thread that looks at one session from another one, in autocommit: no snapshot is held."""

    def __init__(self, beside: psycopg.Connection[Any], pid: int) -> None:
        """Look at the session `pid` by the connection `beside`, which others may use too."""
        self._beside = beside
        self._pid = pid
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pgstead-watcher", daemon=True)
        self._blockers: tuple[str, ...] = ()
        self._statement = ""
        self._since = 0.0
        self._told = 0.0
        self._interval = 0.03  # seconds

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more; to be called once, started or not."""
        self._ended.set()
        if self._thread.ident is not None:
            self._thread.join()

    def begins_try(self, lock_timeout: float) -> None:
        """Forget who was in the way; look often enough for a time-out of so many seconds."""
        self._blockers = ()
        self._interval = min(0.25, max(0.03, lock_timeout / 4))

    def begins(self, statement: str) -> None:
        """Take note that a statement is sent now."""
        self._since = self._told = time.monotonic()
        self._statement = shown(statement)

    def ended(self) -> None:
        """Take note that it is done."""
        self._statement = ""

    @property
    def blockers(self) -> tuple[str, ...]:
        """Who was in the way when it was last looked, in words."""
        return self._blockers

    def _run(self) -> None:
        while not self._ended.wait(self._interval):
            try:
                self._look()
            except psycopg.Error:  # the server went away; the work's own session tells it better
                return

    def _look(self) -> None:
        if not self._statement:
            return
        if rows := self._rows(_BLOCKERS):
            self._blockers = tuple(_in_words(row) for row in rows)
        now = time.monotonic()
        statement = self._statement
        quiet = TELL_AFTER if self._told == self._since else _AGAIN
        if not statement or now - self._told < quiet:
            return
        self._told = now
        waiting = f"; in the way: {'; '.join(self._blockers)}" if rows else ""
        far = ", ".join(_far(row) for row in self._rows(_PROGRESS))
        _log.info(
            "%.0f s: %s%s%s", now - self._since, statement, f" ({far})" if far else "", waiting
        )

    def _rows(self, statement: str) -> list[Mapping[str, Any]]:
        with self._beside.cursor(row_factory=dict_row) as cursor:
            cursor.execute(statement.encode(), {"pid": self._pid})
            return cast("list[Mapping[str, Any]]", cursor.fetchall())


def shown(statement: str) -> str:
    """Return a statement as it may be shown: one line, not long, without what it was given."""
    line = re.sub(r"'(?:[^']|'')*'", "'...'", " ".join(statement.split()))
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}..."


def _in_words(row: Mapping[str, Any]) -> str:
    who = f"pid {row['pid']}, {row['role'] or 'the server itself'}"
    if row["program"]:
        who += f" by {row['program']}"
    if row["state"] is None:  # it is hidden from who is no member of pg_read_all_stats
        return who
    state = row["state"]
    since = f" for {row['seconds']:.1f} s" if row["seconds"] is not None else ""
    query = f": {shown(row['query'])}" if row["query"] else ""
    return f"{who}, {state}, in a transaction{since}{query}"


def _far(row: Mapping[str, Any]) -> str:
    if not row["total"]:
        return str(row["what"])
    return f"{row['what']}, {100 * row['done'] // row['total']} %"
