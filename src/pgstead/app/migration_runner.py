"""The runner: each revision in a transaction of its own, tried again when a lock is not to be had.

A statement that waits for a lock makes everybody else wait who comes after it, so it waits for a
short time only, gives way to those, and comes back: 100 ms at first, 5 s at last. The revision is
rolled back whole in between.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import psycopg
from alembic import context
from alembic.runtime.migration import MigrationContext, MigrationInfo, MigrationStep
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from pgstead.app import migration_ledger as ledger
from pgstead.app import migration_violations as violations
from pgstead.app.migration_ledger import Entry
from pgstead.app.migration_statements import Observer, Statements, driver_of
from pgstead.app.migration_watch import Watcher, shown
from pgstead.errors import BusyError

_AGAIN = frozenset({"55P03", "40P01"})  # a lock not to be had in time, a deadlock

_log = logging.getLogger("alembic.pgstead")

_TYPES = """
    SELECT a.attrelid::regclass || '.' || quote_ident(a.attname),
           format_type(a.atttypid, a.atttypmod)
    FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
    WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'v', 'm')
      AND c.relnamespace::regnamespace::text !~ '^(pg_|information_schema)'
"""

Asked = Callable[[Any, MigrationContext], Iterable[MigrationStep]]


@dataclass(frozen=True, slots=True)
class Patience:
    """How long locks are waited for (MIG-8, MIG-9)."""

    tries: int = 40  # of one revision
    budget: float = 300.0  # seconds for all revisions of a run, pauses included
    shortest: float = 0.1  # seconds that a statement waits for a lock at first
    longest: float = 5.0

    def lock_timeout(self, attempt: int) -> float:
        """Return the seconds that a statement of this attempt, from 1, may wait for a lock."""
        return min(self.longest, self.shortest * 1.25 ** (attempt - 1))

    def pause(self, attempt: int) -> float:
        """Return the seconds to stay away after it; others are to get done what was held up."""
        return self.lock_timeout(attempt) * random.uniform(0.5, 1.5)  # noqa: S311 - jitter


@dataclass
class Report:
    """What a run did, for whoever started it."""

    entries: list[Entry] = field(default_factory=list[Entry])
    retyped: list[str] = field(default_factory=list[str])  # columns that have another type now
    reason: str | None = None  # given: why this is done, for the ledger
    patience: Patience = field(default_factory=Patience)
    observer: Observer | None = None


class Runner:
    """One run of Alembic: knows which of its steps are done, whatever has to be tried again."""

    def __init__(self, connection: Connection, guard: Connection, report: Report) -> None:
        """Work on one connection; look and clean from the other, which holds the lock."""
        self._connection = connection
        self._work = driver_of(connection)
        self._beside = driver_of(guard)
        self._report = report
        self._steps: list[MigrationStep] | None = None
        self._next = 0
        self._attempt = 1
        self._began = time.monotonic()
        self._waited = 0.0
        self._written: list[Entry] = []  # in a transaction that is not committed yet
        self._types: dict[str, str] = {}
        self._watcher = Watcher(self._beside, self._work.info.backend_pid)
        self._statements = Statements(
            self._work, self._beside, self._watcher, recorded=False, observer=report.observer
        )

    @property
    def beside(self) -> psycopg.Connection[Any]:
        """The connection to look from: the login role's own, in autocommit."""
        return self._beside

    @property
    def step(self) -> tuple[str, str]:
        """The revision that runs now, and its direction."""
        return self._statements.step

    @property
    def recorded(self) -> bool:
        """There is a ledger in which progress can be kept."""
        return self._statements.recorded

    def abandon(self) -> None:
        """Roll back what the revision did last, and let go of its locks; it has failed."""
        if not self._work.closed:
            self._work.rollback()

    def knows(self, statement: str) -> bool:
        """Say whether this revision did a statement before, or was doing it when it ended."""
        if not self.recorded:
            return False
        noted = ledger.unfinished(self._beside, *self.step)
        return any(left.statement == shown(statement) for left in noted)

    def run(self, configure: Callable[[Asked | None], MigrationContext]) -> None:
        """Do the steps. Raises BusyError for a lock that is never to be had."""
        # what Alembic was asked for is told by a context only, which says hello when it is made
        with _silenced(logging.getLogger("alembic.runtime.migration")):
            asked: Asked = configure(None).opts["fn"]
        configure(lambda heads, migrations: self._each(asked, heads, migrations))
        try:
            with self._statements.listening(self._connection):
                while not self._tried():
                    self._attempt += 1
        finally:
            self._watcher.stop()
        if self._steps:
            self._session("RESET lock_timeout")
            self._look_at_types()

    def applied(self, ctx: MigrationContext, step: MigrationInfo) -> None:
        """Write the ledger in the revision's own transaction (Alembic's `on_version_apply`)."""
        self._statements.end()
        direction = "up" if step.is_upgrade else "down"
        entries = [
            Entry(
                revision=revision,
                direction="stamp" if step.is_stamp else direction,
                source=ledger.text_of(_path(ctx, revision)),
                seconds=time.monotonic() - self._began,
                tries=self._attempt,
                reason=self._report.reason,
            )
            for revision in step.up_revision_ids
        ]
        if self._statements.recorded:
            ledger.write(self._work, entries)
            for entry in entries:
                ledger.finished(self._work, entry.revision)
        self._written = entries

    def _each(
        self, asked: Asked, heads: Any, migrations: MigrationContext
    ) -> Iterator[MigrationStep]:
        """Yield the steps that are not done; Alembic asks for the next when one is committed."""
        if self._steps is None:
            self._steps = [*asked(heads, migrations)]
        while self._next < len(self._steps):
            step = self._steps[self._next]
            self._begin(step)
            yield step
            self._report.entries += self._written
            self._next += 1
            self._attempt = 1

    def _begin(self, step: MigrationStep) -> None:
        if self._next == 0 and self._attempt == 1:
            self._types = self._read_types()
            self._watcher.start()
            self._statements.recorded = ledger.prepare(self._work)
        timeout = self._report.patience.lock_timeout(self._attempt)
        self._session(f"SET lock_timeout = '{round(timeout * 1000)}ms'")
        self._watcher.begins_try(timeout)
        info = cast("Any", step).info  # every step has it, their type does not say so
        # a stamp executes nothing
        revision = "" if info.is_stamp else (info.up_revision_id or "")
        self._statements.begin(revision, "up" if info.is_upgrade else "down")
        if self._attempt == 1:
            self._began = time.monotonic()
        if kept := self._statements.kept:
            _log.info("going on with %s: %d statement(s) of it are in already", revision, kept)

    def _tried(self) -> bool:
        """Do what is left of the steps; return False where a lock was in the way."""
        try:
            with context.begin_transaction():
                context.run_migrations()
        except BaseException as error:
            self._watcher.ended()
            self._undo()
            if not isinstance(error, Exception):
                raise
            if _sqlstate(error) not in _AGAIN:
                self._explain(error)
                raise
            self._give_way(error)
            return False
        return True

    def _undo(self) -> None:
        """Leave nothing of the revision: its transaction, and what it built outside of one."""
        try:
            self._connection.rollback()
            self._statements.clean()
        except (psycopg.Error, DBAPIError) as error:
            _log.warning("what the failed statement left could not be removed: %s", error)

    def _explain(self, error: Exception) -> None:
        """Raise SteadError where rows are the reason; their values are in no trace of it."""
        told = violations.explained(self._work, error, self._statements.sent)
        if told is not None:
            raise told from None

    def _give_way(self, error: Exception) -> None:
        patience, blockers = self._report.patience, self._watcher.blockers
        who = "; ".join(blockers) or "nobody who is still there"
        what = shown(getattr(error, "statement", None) or str(error))
        pause = patience.pause(self._attempt)
        timeout = patience.lock_timeout(self._attempt)
        self._waited += pause + timeout
        if self._attempt >= patience.tries or self._waited > patience.budget:
            raise BusyError(
                f"a lock was not to be had in {self._attempt} tries: {what}; in the way: {who}",
                hint="nothing of this revision was done; run it again when that has ended, or end"
                " it with pg_terminate_backend(pid)",
            ) from error
        _log.warning(
            "no lock within %.1f s, giving way for %.1f s (try %d of %d): %s; in the way: %s",
            *(timeout, pause, self._attempt, patience.tries),
            *(what, who),
        )
        time.sleep(pause)

    def _session(self, statement: str) -> None:
        """Change a setting of the session for good: not with the revision's transaction."""
        self._work.execute(statement.encode())
        if not self._work.autocommit:
            self._work.commit()

    def _read_types(self) -> dict[str, str]:
        return dict(self._beside.execute(_TYPES).fetchall())

    def _look_at_types(self) -> None:
        """Say which columns have another type now: connections remember the old one."""
        now = self._read_types()
        changed = sorted(c for c, kind in self._types.items() if now.get(c, kind) != kind)
        self._report.retyped += changed
        if changed:
            _log.warning(
                "changed types: %s; pooled connections still know the old ones: RECONNECT on"
                " PgBouncer's console, and let applications dispose their pools",
                ", ".join(changed),
            )


@contextmanager
def _silenced(logger: logging.Logger) -> Generator[None]:
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


def _sqlstate(error: Exception) -> str | None:
    """Return what the server answered: to SQLAlchemy, or to the driver alone."""
    return getattr(getattr(error, "orig", error), "sqlstate", None)


def _path(migrations: MigrationContext, revision: str) -> str | None:
    """Return where the file of a revision lies."""
    scripts = migrations.script
    script = scripts.get_revision(revision) if scripts is not None else None
    return None if script is None else script.path
