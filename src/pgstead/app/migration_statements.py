"""The statements of one revision on their way to the server.

Three things happen to them here. What runs outside of a transaction gets the time-outs and the
cleaning that it needs. What a revision commits before its end is noted, and not sent a second time
when the revision has to be run again. And a watcher is told what is being waited for.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

import psycopg
from sqlalchemy import Connection, event

from pgstead.app import migration_ledger as ledger
from pgstead.app.migration_concurrent import Concurrent
from pgstead.app.migration_ledger import Unfinished
from pgstead.app.migration_watch import Watcher, shown

_log = logging.getLogger("alembic.pgstead")

_STATEMENT_TIMEOUT = "6h"  # of what runs concurrently; a server-wide one is for applications

# What changes nothing, or only the session: to be sent in every run.
_READS = re.compile(r"\s*(?:SELECT|SHOW|SET|RESET|WITH|VALUES|TABLE|EXPLAIN)\b", re.IGNORECASE)
_NOTHING = "SELECT"  # no column, one row: stands in for what is done already


class Observer(Protocol):
    """Who looks at what each statement of a revision does: a rehearsal."""

    def begins(self, revision: str, direction: str) -> None:
        """Expect a revision, perhaps not for the first time."""
        ...

    def before(self, statement: str) -> None:
        """Take note that a statement is sent now."""
        ...

    def after(self, work: psycopg.Connection[Any]) -> None:
        """Take note that it is done; `work` is the connection, perhaps in its transaction."""
        ...


@dataclass
class Statements:
    """What happens to the statements of the revision that runs now."""

    work: psycopg.Connection[Any]
    beside: psycopg.Connection[Any]
    watcher: Watcher
    recorded: bool  # there is a ledger to note in
    observer: Observer | None = None
    sent: list[str] = field(default_factory=list[str])  # of this revision
    _revision: str = ""
    _direction: str = ""
    _done: Counter[str] = field(default_factory=Counter[str])
    _begun: set[str] = field(default_factory=set[str])
    _uncommitted: list[Unfinished] = field(default_factory=list[Unfinished])
    _current: Concurrent | None = None
    _key: str = ""
    _lock_timeout: str = "0"  # to be set again behind a concurrent statement

    @property
    def kept(self) -> int:
        """How many statements of the revision an earlier run committed, and were not met yet."""
        return self._done.total()

    @property
    def step(self) -> tuple[str, str]:
        """The revision that runs now, and its direction."""
        return self._revision, self._direction

    def begin(self, revision: str, direction: str) -> None:
        """Expect a revision; read what an earlier run of it left."""
        self._revision, self._direction = revision, direction
        self._current, self._key = None, ""
        self.sent.clear()
        self._uncommitted.clear()
        self._done.clear()
        self._begun.clear()
        if revision and self.observer is not None:
            self.observer.begins(revision, direction)
        if revision and self.recorded:
            for left in ledger.unfinished(self.beside, revision, direction):
                if left.done:
                    self._done[left.digest] += 1
                else:
                    self._begun.add(left.digest)

    def end(self) -> None:
        """Expect nothing more: what still comes is Alembic's own, or the ledger's."""
        self._revision = ""
        self._uncommitted.clear()

    def clean(self) -> None:
        """Remove what a statement left that failed outside of a transaction."""
        current, self._current = self._current, None
        if current is not None:
            _log.info("removing what the failed statement left; Ctrl-C leaves it to the next run")
            # SQLAlchemy closes a connection whose statement was interrupted
            ours = self.beside if self.work.closed else self.work
            with _autocommit(ours):
                current.clean(ours, self.beside)
                if self.recorded and not current.settled(ours):
                    ledger.dropped(ours, self._revision, self._key)
                if ours is self.work:
                    self._reset()

    @contextmanager
    def listening(self, connection: Connection) -> Generator[None]:
        """See the statements of a connection, until the block ends."""
        handlers: tuple[tuple[str, Callable[..., Any], dict[str, bool]], ...] = (
            ("before_cursor_execute", self._before, {"retval": True}),
            ("after_cursor_execute", self._after, {}),
            ("commit", self._commits, {}),
        )
        for name, handler, options in handlers:
            event.listen(connection, name, handler, **options)
        try:
            yield
        finally:
            for name, handler, _options in handlers:
                event.remove(connection, name, handler)

    def _before(
        self,
        _connection: Connection,
        _cursor: object,
        statement: str,
        parameters: Any,
        _context: object,
        _many: bool,  # noqa: FBT001 - SQLAlchemy's signature
    ) -> tuple[str, Any]:
        self._key = ""
        if self._revision and not _READS.match(statement):
            key = _digest(statement, parameters)
            if self._done[key] or self._settled(statement, key):
                self._done[key] -= 1 if self._done[key] else 0
                return _NOTHING, ()
            self._key = key
            self._prepare(statement, key)
        self.watcher.begins(statement)
        if self._revision and self.observer is not None:
            self.observer.before(statement)
        self.sent.append(statement)
        return statement, parameters

    def _settled(self, statement: str, key: str) -> bool:
        """Say whether the statement at which an earlier run was killed did its work."""
        concurrent = Concurrent.of(statement) if key in self._begun else None
        if concurrent is None:
            return False
        self._begun.discard(key)
        with _autocommit(self.work):
            concurrent.clean(self.work, self.beside)
            if concurrent.settled(self.work):
                ledger.done(self.work, self._revision, key)
                return True
            ledger.dropped(self.work, self._revision, key)
        return False

    def _prepare(self, statement: str, key: str) -> None:
        if not self.work.autocommit:
            return
        self._current = Concurrent.of(statement)
        if self._current is None:
            return
        row = self.work.execute("SELECT current_setting('lock_timeout')").fetchone()
        self._lock_timeout = row[0] if row is not None else "0"
        # a lock_timeout would end it while it waits for old transactions, which stops nobody
        self.work.execute("SET lock_timeout = 0")
        self.work.execute(f"SET statement_timeout = '{_STATEMENT_TIMEOUT}'")
        self._current.clean(self.work, self.beside)
        if self.recorded:
            begun = Unfinished(shown(statement), key, done=False)
            ledger.remember(self.work, self._revision, self._direction, begun)

    def _after(
        self,
        _connection: Connection,
        _cursor: object,
        statement: str,
        _parameters: object,
        _context: object,
        _many: bool,  # noqa: FBT001 - SQLAlchemy's signature
    ) -> None:
        self.watcher.ended()
        if self._revision and self.observer is not None:
            self.observer.after(self.work)
        if not self._key:
            return
        done = Unfinished(shown(statement), self._key, done=True)
        if not self.work.autocommit:
            self._uncommitted.append(done)
        elif self._current is not None:
            self._current.verify(self.work)
            self._current = None
            self._reset()
            if self.recorded:
                ledger.done(self.work, self._revision, self._key)
        elif self.recorded:
            ledger.remember(self.work, self._revision, self._direction, done)

    def _reset(self) -> None:
        self.work.execute("RESET statement_timeout")
        self.work.execute("SELECT set_config('lock_timeout', %s, false)", [self._lock_timeout])

    def _commits(self, _connection: Connection) -> None:
        """Note in the same transaction what a revision commits before its end."""
        if self._revision and self.recorded:
            for done in self._uncommitted:
                ledger.remember(self.work, self._revision, self._direction, done)
        self._uncommitted.clear()


@contextmanager
def _autocommit(connection: psycopg.Connection[Any]) -> Generator[None]:
    """Run each statement as a transaction; the connection is in none."""
    before = connection.autocommit
    if not before:
        connection.rollback()
        connection.autocommit = True
    try:
        yield
    finally:
        if not before:
            connection.autocommit = False


def driver_of(connection: Connection) -> psycopg.Connection[Any]:
    """Return psycopg's own connection: what is done by it raises no event."""
    return cast("psycopg.Connection[Any]", connection.connection.driver_connection)


def _digest(statement: str, parameters: object) -> str:
    """Return what a statement is known by; values are not kept, only told apart."""
    return hashlib.sha256(f"{statement}\0{parameters!r}".encode()).hexdigest()
