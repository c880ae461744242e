"""One migration of a database at a time: a lock that is polled, and never waited for in a queue.

Session-level and polled: a waiting pg_advisory_lock() holds a snapshot, for which a CREATE INDEX
CONCURRENTLY of the lock's holder would wait in turn. Who has to wait gives his connection back
between two tries: the migrator may have three, and the holder needs two of them.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any, cast

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import OperationalError

from pgstead.errors import BusyError

PATIENCE = 120.0  # seconds that a runner waits for another one
_SHORTEST, _LONGEST = 0.1, 1.0  # seconds between two tries

_log = logging.getLogger("alembic.pgstead")

_KEY = "hashtextextended('pgstead migrations of ' || current_database(), 0)"
_HOLDER = f"""
    SELECT a.pid, a.usename AS role, a.application_name AS program
    FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
    WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
      AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND (l.classid::bigint << 32) | l.objid::bigint = {_KEY}
"""  # noqa: S608 - made of constants

# The server's words in a refusal to connect, which has no SQLSTATE by the time that we see it.
_FULL = ("too many connections", "too many clients", "connection slots are reserved")


@contextmanager
def alone(engine: Engine, patience: float = PATIENCE) -> Generator[Connection]:
    """Hold the database's migration lock; yield the connection that does, in autocommit.

    It is the login role itself, not the owner that the work is done as: it may see the sessions
    of both. Raises BusyError after `patience` seconds.
    """
    guard = _acquire(engine, patience)
    try:
        guard.execute(text("SET ROLE NONE"))
        yield guard
    finally:
        guard.close()


@contextmanager
def connected(engine: Engine, patience: float = 30.0) -> Generator[Connection]:
    """Connect; where others have taken all places, wait for one, at most `patience` seconds."""
    until = time.monotonic() + patience
    while (connection := _connection(engine, last=time.monotonic() > until)) is None:
        time.sleep(0.05)
    with connection:
        yield connection


def _acquire(
    engine: Engine, patience: float, clock: Callable[[], float] = time.monotonic
) -> Connection:
    until = clock() + patience
    told, pause = "", _SHORTEST
    while True:
        guard = _connection(engine)
        holder = "all connections of the migrator are taken"
        if guard is not None:
            guard = guard.execution_options(isolation_level="AUTOCOMMIT")
            if guard.scalar(text(f"SELECT pg_try_advisory_lock({_KEY})")):
                return guard
            holder = _holder(guard)
            guard.close()
        if clock() > until:
            raise BusyError(
                f"another migration is running: {holder}",
                hint="wait for it, or end it with pg_terminate_backend(pid)",
            )
        if holder != told:
            _log.warning("waiting for another migration: %s", holder)
            told = holder
        time.sleep(pause * random.uniform(0.7, 1.3))  # noqa: S311 - so that not all come at once
        pause = min(_LONGEST, pause * 1.3)


def _connection(engine: Engine, *, last: bool = False) -> Connection | None:
    try:
        return engine.connect()
    except OperationalError as error:
        if last or not any(word in str(error.orig) for word in _FULL):
            raise
        return None


def _holder(guard: Connection) -> str:
    row = guard.execute(text(_HOLDER)).mappings().first()
    if row is None:
        return "it ended just now"
    found = cast("Mapping[str, Any]", row)
    return f"{found['program'] or 'a program'} as {found['role']}, pid {found['pid']}"
