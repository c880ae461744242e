"""PgBouncer held still for a moment: no server connection is being opened in it.

RELOAD before 1.24 and RECONNECT in every version let go of each server connection, also of one
that is logging in. That counts as a failed login, and until the next try, a second later, each
client of its pool is refused: "server login has been failing" (PgBouncer, src/objects.c:
tag_pool_dirty, disconnect_server, check_fast_fail). To look first is not enough, between the look
and the command the next login begins. PAUSE ends logins itself. SUSPEND lets those that are under
way end, begins no other, and whoever waits goes on with the next command as if nothing had been.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

import psycopg
from psycopg.pq import ExecStatus

Cursor = psycopg.ClientCursor[dict[str, Any]]
Opened = Callable[[], AbstractContextManager[Cursor]]

# Seconds. A login that takes longer is one to a server that does not answer. Beyond 10
# (`suspend_timeout`) PgBouncer would disconnect who could not be suspended.
_PATIENCE = 5.0
_GLANCE = 0.01
# Where a pool is full, its waiting clients keep SUSPEND from its end. Nobody logs in at the server
# for them; for a client that is itself just logging in somebody might.
_LOOKS = 5


class _Suspension:
    """SUSPEND, sent and not waited for."""

    def __init__(self, cursor: Cursor) -> None:
        """Send it."""
        self._connection = cursor.connection.pgconn
        self._connection.send_query(b"SUSPEND")
        self._answer: ExecStatus | None = None

    @property
    def answer(self) -> ExecStatus | None:
        """What was answered, None while nothing was."""
        if self._answer is None:
            self._connection.consume_input()
            if not self._connection.is_busy() and (found := self._connection.get_result()):
                self._answer = ExecStatus(found.status)
        return self._answer


@contextmanager
def still(opened: Opened) -> Generator[Cursor]:
    """Hold a pooler still while the block lasts; give the console's cursor for a command.

    One that somebody has paused stays as it is. PgBouncer resumes by itself when no console is
    connected any more; the agent's mostly is, so whoever holds it has somebody beside who resumes
    it where they are killed (`holding.kept`): after 10 s it would disconnect who waits.
    """
    with opened() as watching, opened() as holding:  # both before: then nobody is let in
        suspension = _Suspension(holding)
        try:
            _wait(watching, suspension)
            yield watching
        finally:
            if suspension.answer is not ExecStatus.FATAL_ERROR:
                with suppress(psycopg.Error):  # one that was started anew waits for nothing
                    watching.execute(b"RESUME")


def _wait(watching: Cursor, suspension: _Suspension) -> None:
    """Wait until nobody logs in at the server, nor is about to; for a moment at most."""
    calm, end = 0, time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        suspended = suspension.answer is ExecStatus.COMMAND_OK
        quiet = not _opening(watching) and (suspended or not _coming(watching))
        calm = calm + 1 if quiet else 0
        if calm >= (1 if suspended else _LOOKS):
            return
        time.sleep(_GLANCE)


def _opening(watching: Cursor) -> bool:
    """Say whether a server connection is being opened."""
    watching.execute(b"SHOW SERVERS")
    return any(row["state"] == "new" for row in watching.fetchall())


def _coming(watching: Cursor) -> bool:
    """Say whether a client is logging in, for whom one may be opened the next moment."""
    watching.execute(b"SHOW LISTS")
    return any(row["list"] == "login_clients" and row["items"] for row in watching.fetchall())
