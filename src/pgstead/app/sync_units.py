"""Units of work without an event loop: the twin of `retry.Units` and `commits.certain`.

What is decided is decided by the same functions (`retry.decide`, `commits.judge`); only waiting is
another. Threads share one of it: budget and counts are behind a lock.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from sqlalchemy import Engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from pgstead.app import commits
from pgstead.app.commits import Kept, Mark, Verdict
from pgstead.app.errors import (
    CommitUnknownError,
    DatabaseError,
    ReadOnlyServerError,
    UnavailableError,
    ValueRefusedError,
)
from pgstead.app.retry import Policy, Retries, refuse_commit
from pgstead.app.translation import translate
from pgstead.errors import UsageError

Result = TypeVar("Result")
Work = Callable[[Session], Result]
Opened = Callable[[], AbstractContextManager[Session]]

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class SyncUnits(Retries):
    """Runs units of work on one database, for the threads of one process."""

    engine: Engine = field(kw_only=True)
    sleep: Callable[[float], None] = time.sleep
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _inside: threading.local = field(default_factory=threading.local)

    def run(self, work: Work[Result], opened: Opened, *, policy: Policy | None = None) -> Result:
        """Run a unit of work in a transaction of its own, again from its start where that is safe.

        What it returns is what it returned; a COMMIT whose answer was lost is resolved first.
        """
        if getattr(self._inside, "yes", False):
            raise UsageError(
                "a unit of work was begun inside another one",
                hint="the outer one may be run again, and would do the inner one twice:"
                " give its session on",
            )
        self._inside.yes = True
        try:
            return self._until_done(work, opened, policy or self.policy)
        finally:
            self._inside.yes = False

    def may_rerun(
        self, error: BaseException, attempt: int, began: float, policy: Policy | None = None
    ) -> bool:
        """Say whether another attempt follows, and take it from the budget."""
        with self._lock:
            # `super()` without arguments does not find the class that slots made anew
            return Retries.may_rerun(self, error, attempt, began, policy)

    def _until_done(self, work: Work[Result], opened: Opened, policy: Policy) -> Result:
        began, attempt = self.clock(), 0
        with self._lock:
            self.begin()
        while True:
            attempt += 1
            try:
                return self._once(work, opened)
            except DatabaseError as error:
                if not self.may_rerun(error, attempt, began, policy):
                    raise
                _log.info("attempt %d failed, another follows: %s", attempt, error.message)
            self.sleep(policy.pause(attempt, self.chance()))

    def _once(self, work: Work[Result], opened: Opened) -> Result:
        with certain(self.engine, opened(), self.sleep) as session:
            event.listen(session, "before_commit", refuse_commit)
            try:
                return work(session)
            except DBAPIError as error:
                if isinstance(translate(error), ReadOnlyServerError):
                    # the next attempt shall not get this connection to a former primary again
                    session.invalidate()
                raise
            finally:
                event.remove(session, "before_commit", refuse_commit)


@contextmanager
def certain(
    engine: Engine,
    opened: AbstractContextManager[Session],
    sleep: Callable[[float], None] = time.sleep,
) -> Generator[Session]:
    """Wrap a transaction that commits at its end, as `commits.certain` does."""
    mark: Mark | None = None
    kept = Kept()
    try:
        with opened as session:
            yield session
            session.flush()
            if session.in_transaction():
                mark = commits.marked(session.connection())
                kept = Kept.of(session)
    except CommitUnknownError as error:
        if mark is None:
            raise
        try:
            verdict = settle(engine, mark, sleep=sleep)
        except (DatabaseError, DBAPIError) as refused:
            raise error from refused
        if verdict is Verdict.UNKNOWN:
            raise
        if verdict is Verdict.NOT_DONE:
            raise commits.not_done(error) from error
        kept.restore()


def settle(
    engine: Engine,
    mark: Mark,
    *,
    within: float = commits.RESOLVE_WITHIN,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Verdict:
    """Ask until there is a verdict; after `within` seconds it is unknown."""
    until = clock() + within
    for pause in commits.pauses():
        verdict = _once(engine, mark)
        if verdict is not Verdict.WAIT:
            return verdict
        if clock() + pause > until:
            break
        sleep(pause)
    return Verdict.UNKNOWN


def _once(engine: Engine, mark: Mark) -> Verdict:
    if mark.xid is None:
        return Verdict.NOT_DONE
    for question in commits.QUESTIONS:
        try:
            with engine.connect() as connection:
                return question(connection, mark)
        except Exception as error:
            meaning = translate(error)
            if isinstance(meaning, UnavailableError):
                return Verdict.WAIT
            if not isinstance(meaning, ValueRefusedError):
                raise
    return Verdict.WAIT
