"""Clients beside a migration: each says the same few things again and again, and takes the time."""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import psycopg

from pgstead.errors import SteadError
from pgstead.model.rehearsal import Waited

if TYPE_CHECKING:
    from psycopg import sql as composed

    from pgstead.host.sql import SocketSql

PAUSE = 0.02  # seconds between two statements of a client: some 50 a second, not all of the machine
_TO_END = 10.0  # seconds


@dataclass(frozen=True, slots=True)
class Saying:
    """A statement that is said, with one of some sets of values; what it changes is taken back."""

    what: str  # "reads of item"
    statement: composed.Composed | bytes
    values: Sequence[Mapping[str, object]] = ()
    changes: bool = True


@dataclass
class _Said:
    """What a client has seen of one statement."""

    seconds: list[float] = field(default_factory=list[float])
    errors: dict[str, int] = field(default_factory=dict[str, int])


class Traffic:
    """Some clients in threads; `setup` is said once by each, before all else."""

    def __init__(
        self,
        sql: SocketSql,
        database: str,
        sayings: Sequence[Saying],
        *,
        clients: int,
        setup: Sequence[bytes] = (),
    ) -> None:
        """Take whom the clients connect as, where, and what they say."""
        self._sql = sql
        self._database = database
        self._sayings = sayings
        self._setup = (b"SET statement_timeout = 0", *setup)
        self._ended = threading.Event()
        self._said: dict[str, _Said] = {saying.what: _Said() for saying in sayings}
        self._turn = threading.Lock()
        self._open: list[psycopg.Connection[dict[str, Any]]] = []
        self._problem: Exception | None = None
        count = clients if sayings else 0
        self._threads = [
            threading.Thread(target=self._run, args=(at,), daemon=True) for at in range(count)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        until = time.monotonic() + _TO_END
        for thread in self._threads:
            thread.join(max(0.1, until - time.monotonic()))
        for connection in self._open:
            with suppress(psycopg.Error):
                connection.cancel()

    @property
    def problem(self) -> Exception | None:
        """Why a client could not work at all."""
        return self._problem

    @property
    def waits(self) -> tuple[Waited, ...]:
        """How each statement fared, so far."""
        with self._turn:
            return tuple(_waited(what, said) for what, said in sorted(self._said.items()))

    def _run(self, at: int) -> None:
        try:
            with self._sql.connect(self._database) as connection:
                self._open.append(connection)
                connection.prepare_threshold = None  # a plan would not survive a changed type
                for statement in self._setup:
                    connection.execute(statement)
                self._talk(connection, self._part(at))
        except (psycopg.Error, SteadError) as error:  # told by whoever started it
            self._problem = error

    def _part(self, at: int) -> Sequence[Saying]:
        """Return what one client says: not all the same, or all might be at the one thing."""
        return self._sayings[at % len(self._sayings) :: len(self._threads)]

    def _talk(
        self, connection: psycopg.Connection[dict[str, Any]], sayings: Sequence[Saying]
    ) -> None:
        at = 0
        while not self._ended.wait(PAUSE):
            self._say(connection, sayings[at % len(sayings)])
            at += 1

    def _say(self, connection: psycopg.Connection[dict[str, Any]], saying: Saying) -> None:
        values = random.choice(saying.values) if saying.values else None  # noqa: S311 - no secret
        began, state = time.monotonic(), ""
        try:
            with connection.transaction(force_rollback=saying.changes):
                connection.execute(saying.statement, values)
        except psycopg.Error as error:
            if connection.closed:
                raise
            state = error.sqlstate or "?????"
        took = time.monotonic() - began
        with self._turn:
            said = self._said[saying.what]
            said.seconds.append(took)
            if state:
                said.errors[state] = said.errors.get(state, 0) + 1


def _waited(what: str, said: _Said) -> Waited:
    seconds = sorted(said.seconds)
    if not seconds:
        return Waited(what, 0, 0.0, 0.0)
    p99 = seconds[math.ceil(0.99 * len(seconds)) - 1]
    return Waited(what, len(seconds), p99, seconds[-1], dict(said.errors))
