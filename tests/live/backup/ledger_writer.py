"""Writes numbered, hashed rows, one transaction each, and a journal of them outside the server.

    python ledger_writer.py SOCKET PORT SUPERUSER JOURNAL RATE FIRST

The journal has a line before a row is sent, and one after COMMIT came back, each on the disk
before the next thing is done. `A number` is an attempt; `K number xid lsn microseconds` was
acknowledged: its transaction, where the record of its COMMIT begins in the WAL, and the commit's
time as the server keeps it; `X xid lsn` is a transaction that was rolled back. What stands in the
journal of itself orders the commits: one process commits one after another.

Commits do not come in the order of their xids: now and then a row takes its xid, waits, and is
committed after later ones. Rows that are rolled back must never be seen.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import sys
import time
from dataclasses import dataclass

import psycopg

# pg_walinspect tells where a COMMIT lies: nothing that is tested here does
_COMMITTED = """
    SELECT (SELECT start_lsn::text
            FROM pg_get_wal_records_info(%(before)s, pg_current_wal_flush_lsn())
            WHERE xid = %(xid)s::xid AND resource_manager = 'Transaction'
              AND record_type LIKE 'COMMIT%%' LIMIT 1) AS lsn,
           (extract(epoch FROM pg_xact_commit_timestamp(%(xid)s::xid)) * 1000000)::bigint AS at
"""
_INSERT = """
    INSERT INTO recovery_ledger (number, payload, hash) VALUES (%s, %s, %s)
    RETURNING pg_current_xact_id()::xid::text, pg_current_wal_insert_lsn()::text
"""


def hash_of(number: int, payload: str) -> str:
    """Return what a row of that number and payload carries."""
    return hashlib.sha256(f"{number} {payload}".encode()).hexdigest()


def payload_of(number: int) -> str:
    """Return a payload that nobody guesses for another number, of a size that varies."""
    word = hashlib.sha256(f"payload {number}".encode()).hexdigest()
    return word * (1 + number % 7)


@dataclass
class Open:
    """A transaction that has written its row and is not committed yet."""

    connection: psycopg.Connection
    number: int
    xid: str
    before: str


class Journal:
    """Lines that are on the disk when `write` returns."""

    def __init__(self, path: str) -> None:
        self._handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def write(self, *lines: str) -> None:
        """Write lines at once."""
        os.write(self._handle, "".join(f"{line}\n" for line in lines).encode())
        os.fdatasync(self._handle)


class Writer:
    """One client: three connections, so that transactions overlap."""

    def __init__(self, conninfo: str, journal: Journal, first: int) -> None:
        self._connections = [psycopg.connect(conninfo) for _ in range(3)]
        self._journal = journal
        self._numbers = itertools.count(first)
        self.last = first - 1

    def _begin(self, connection: psycopg.Connection) -> Open:
        number = self.last = next(self._numbers)
        self._journal.write(f"A {number}")
        payload = payload_of(number)
        row = connection.execute(_INSERT, (number, payload, hash_of(number, payload))).fetchone()
        assert row is not None
        return Open(connection, number, *row)

    def _commit(self, opened: Open) -> None:
        opened.connection.commit()
        row = opened.connection.execute(
            _COMMITTED, {"before": opened.before, "xid": opened.xid}
        ).fetchone()
        opened.connection.rollback()
        assert row is not None
        self._journal.write(f"K {opened.number} {opened.xid} {row[0]} {row[1]}")

    def run(self, rate: float) -> None:
        """Write until killed, or until the server is gone (raises psycopg.Error)."""
        plain, late, undone = self._connections
        waiting: Open | None = None
        for turn in itertools.count():
            began = time.monotonic()
            if turn % 20 == 5:
                waiting = self._begin(late)
            elif turn % 20 == 11 and waiting is not None:
                self._commit(waiting)
                waiting = None
            elif turn % 20 == 15:
                aborted = self._begin(undone)
                undone.rollback()
                self._journal.write(f"X {aborted.number} {aborted.xid}")
            else:
                self._commit(self._begin(plain))
            time.sleep(max(0.0, 1 / rate - (time.monotonic() - began)))

    def close(self) -> None:
        """Let go of the connections."""
        for connection in self._connections:
            connection.close()


def main() -> None:
    """Write as long as this process lives; a server that is gone is tried again."""
    socket, port, user, path, rate, first = sys.argv[1:]
    conninfo = f"host={socket} port={port} user={user} dbname=jeex_idea application_name=ledger"
    journal, number = Journal(path), int(first)
    while True:
        writer = None
        try:
            writer = Writer(conninfo, journal, number)
            writer.run(float(rate))
        except psycopg.Error as error:
            journal.write(f"E {' '.join(str(error).split())[:100]}")
            time.sleep(0.05)
        finally:
            if writer is not None:
                number = writer.last + 1
                writer.close()


if __name__ == "__main__":
    main()
