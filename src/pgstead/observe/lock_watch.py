"""Which locks on tables a program holds, from when to when: looked at from beside, all the time.

A lock is held to the end of its transaction, so how long is only seen by who keeps looking. What
is told is right to about the time between two looks, at either end.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Self

import psycopg

from pgstead.model.rehearsal import Held
from pgstead.observe.sql_files import query

if TYPE_CHECKING:
    from typing import LiteralString

INTERVAL = 0.01  # seconds between two looks
_MEASURED = 0.3  # seconds between two looks at the disk

_DISK: LiteralString = """
    SELECT (pg_catalog.pg_database_size(current_database())
        + (SELECT coalesce(sum(size), 0) FROM pg_catalog.pg_ls_waldir()))::bigint AS n
"""
_WAL: LiteralString = "SELECT (pg_catalog.pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint AS n"

_Key = tuple[int, str, str]


class LockWatch:
    """Looks at the sessions of a program, in a thread; a superuser's connection, in autocommit."""

    def __init__(
        self, connection: psycopg.Connection[dict[str, Any]], program: str, major: int
    ) -> None:
        """Take a connection that nobody else uses, and the sessions' application_name."""
        self._connection = connection
        self._program = program
        self._query: LiteralString = query("table_locks", major)
        self._turn = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pgstead-locks", daemon=True)
        self._looked = time.monotonic()
        self._open: dict[_Key, float] = {}
        self._held: list[Held] = []
        self._peak = 0

    def __enter__(self) -> Self:
        self.look()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        if not self._connection.closed:
            self.look()

    def look(self) -> None:
        """Look now: a statement begins, or has ended and its transaction has not."""
        with self._turn:
            before = self._looked
            rows = self._connection.execute(self._query, {"program": self._program}).fetchall()
            now = time.monotonic()
            # somewhere between the two looks
            between = (before + now) / 2
            self._looked = now
            there = {(int(r["pid"]), str(r["name"]), str(r["mode"])) for r in rows}
            for key in there - self._open.keys():
                self._open[key] = between
            for key in self._open.keys() - there:
                began = self._open.pop(key)
                self._held.append(Held(key[1], mode_in_words(key[2]), began, between - began))

    @property
    def held(self) -> tuple[Held, ...]:
        """The locks whose transaction has ended, in the order in which they were taken."""
        return tuple(sorted(self._held, key=lambda lock: lock.began))

    def wal(self) -> int:
        """Return how many bytes of WAL were ever written."""
        return self._number(_WAL)

    def disk(self) -> int:
        """Return the bytes that the database and its WAL take now; the peak begins anew."""
        self._peak = self._number(_DISK)
        return self._peak

    def peak(self) -> int:
        """Return the most bytes since `disk` was asked."""
        self._peak = max(self._peak, self._number(_DISK))
        return self._peak

    def _number(self, statement: LiteralString) -> int:
        with self._turn:
            row = self._connection.execute(statement).fetchone()
        assert row is not None
        return int(row["n"])

    def _run(self) -> None:
        measured = 0.0
        while not self._ended.wait(INTERVAL):
            try:
                self.look()
                if time.monotonic() - measured > _MEASURED:
                    self.peak()
                    measured = time.monotonic()
            except psycopg.Error:  # the server went away; the work's own session tells it better
                return


def mode_in_words(mode: str) -> str:
    """Return a mode of pg_locks as the manual writes it: `ShareRowExclusiveLock`."""
    letters = mode.removesuffix("Lock")
    return "".join(f" {c}" if c.isupper() and at else c for at, c in enumerate(letters)).upper()
