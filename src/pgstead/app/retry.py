"""Do a unit of work again where that is safe, and only there.

The unit is a whole transaction: a function that gets a session and is run from its start each
time. What is decided is decided by the error's class, its SQLSTATE and when it was (`decide`);
never is a unit run again whose COMMIT may have been done.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

from sqlalchemy import event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from pgstead.app import commits
from pgstead.app.errors import (
    AgainError,
    BreakerOpenError,
    CommitUnknownError,
    DatabaseError,
    LoginRefusedError,
    NotCommittedError,
    Phase,
    PoolerMisfitError,
    PoolExhaustedError,
    ReadOnlyServerError,
    ResourcesError,
    StalePlanError,
    TooSlowError,
    UnavailableError,
)
from pgstead.app.translation import translate
from pgstead.errors import UsageError

Result = TypeVar("Result")
Work = Callable[[AsyncSession], Awaitable[Result]]
Opened = Callable[[], AbstractAsyncContextManager[AsyncSession]]

_log = logging.getLogger(__name__)


class Decision(StrEnum):
    """What is done about a failed unit of work."""

    RERUN = "run it again"
    RERUN_FEW = "run it again, a few times"  # somebody may hold a lock for long
    RERUN_ONCE = "run it again once"  # a second failure is no accident
    RESOLVE = "ask what became of its COMMIT"
    RAISE = "raise"


# For those nothing is better a moment later: wrong passwords and names, an exhausted pool (it has
# waited already), a breaker that is open (to fail fast is what it is for), full disks.
_HOPELESS = (
    LoginRefusedError,
    PoolExhaustedError,
    BreakerOpenError,
    PoolerMisfitError,
    ResourcesError,
)
# idle in transaction or a transaction for too long: it would be again; no such database
_OWN_FAULT = frozenset({"25P03", "25P04", "3D000"})


def decide(error: BaseException) -> Decision:
    """Decide by class, SQLSTATE and phase. What is not known to be safe is raised."""
    match error:
        case CommitUnknownError():
            return Decision.RESOLVE
        case AgainError() | NotCommittedError():
            return Decision.RERUN
        case UnavailableError(phase=Phase.COMMIT):
            return Decision.RESOLVE  # the server did not say what became of it
        case StalePlanError():
            return Decision.RERUN_ONCE
        case ReadOnlyServerError():
            return Decision.RERUN_FEW
        case TooSlowError(sqlstate="55P03"):
            return Decision.RERUN_FEW
        case TooSlowError():
            return Decision.RAISE
        case UnavailableError(sqlstate=sqlstate) if sqlstate not in _OWN_FAULT:
            return Decision.RAISE if isinstance(error, _HOPELESS) else Decision.RERUN
        case _:
            return Decision.RAISE


@dataclass(frozen=True, slots=True)
class Policy:
    """How often and for how long. Seconds."""

    attempts: int = 5
    few: int = 3
    deadline: float = 10.0  # after which nothing is begun again
    first: float = 0.05  # the longest first pause; each further one is twice as long
    longest: float = 1.0

    def limit(self, decision: Decision) -> int:
        """Return how many attempts a decision allows in all."""
        match decision:
            case Decision.RERUN:
                return self.attempts
            case Decision.RERUN_FEW:
                return min(self.few, self.attempts)
            case Decision.RERUN_ONCE:
                return min(2, self.attempts)
            case Decision.RESOLVE | Decision.RAISE:
                return 1

    def pause(self, attempt: int, chance: float) -> float:
        """Return how long to wait after an attempt (1, 2, ...): anything up to the bound.

        Full jitter: those who failed together do not come back together.
        """
        return chance * min(self.longest, self.first * 2 ** min(attempt - 1, 30))


@dataclass(slots=True)
class Budget:
    """How many retries a process may make, so that it does not multiply an outage.

    Each unit of work pays `share` in, each retry takes 1 out: retries <= reserve + share * units.
    """

    share: float = 0.1
    reserve: float = 10.0
    _left: float = field(init=False)

    def __post_init__(self) -> None:
        """Begin with the reserve."""
        self._left = self.reserve

    def pay(self) -> None:
        """Count a unit of work."""
        self._left = min(self.reserve, self._left + self.share)

    def take(self) -> bool:
        """Take one retry, if there is one left."""
        # 1 and not a hair less: tenths do not add up exactly
        if self._left < 1 - 1e-9:
            return False
        self._left -= 1
        return True


@dataclass(slots=True)
class Counts:
    """What has happened in this process."""

    units: int = 0
    retries: int = 0
    refused: int = 0  # retries that the budget did not allow


@dataclass(slots=True)
class Retries:
    """Decides, for all units of work of one process, whether another attempt follows."""

    policy: Policy = field(default_factory=Policy)
    budget: Budget = field(default_factory=Budget)
    clock: Callable[[], float] = time.monotonic
    chance: Callable[[], float] = random.random
    counts: Counts = field(default_factory=Counts)

    def begin(self) -> None:
        """Count a unit of work."""
        self.counts.units += 1
        self.budget.pay()

    def may_rerun(
        self, error: BaseException, attempt: int, began: float, policy: Policy | None = None
    ) -> bool:
        """Say whether another attempt follows, and take it from the budget."""
        chosen = policy or self.policy
        if attempt >= chosen.limit(decide(error)):
            return False
        if self.clock() - began >= chosen.deadline:
            return False
        if not self.budget.take():
            self.counts.refused += 1
            _log.warning("no retry, for its budget is spent: %s", error)
            return False
        self.counts.retries += 1
        return True


@dataclass(slots=True)
class Units(Retries):
    """Runs units of work on one database."""

    engine: AsyncEngine = field(kw_only=True)
    _inside: set[asyncio.Task[Any] | None] = field(default_factory=set)

    async def run(
        self, work: Work[Result], opened: Opened, *, policy: Policy | None = None
    ) -> Result:
        """Run a unit of work in a transaction of its own, again from its start where that is safe.

        What it returns is what it returned; a COMMIT whose answer was lost is resolved first.
        """
        task = asyncio.current_task()
        if task in self._inside:
            raise UsageError(
                "a unit of work was begun inside another one",
                hint="the outer one may be run again, and would do the inner one twice:"
                " give its session on",
            )
        self._inside.add(task)
        try:
            return await self._until_done(work, opened, policy or self.policy)
        finally:
            self._inside.discard(task)

    async def _until_done(self, work: Work[Result], opened: Opened, policy: Policy) -> Result:
        began, attempt = self.clock(), 0
        self.begin()
        while True:
            attempt += 1
            try:
                return await self._once(work, opened)
            except DatabaseError as error:
                if not self.may_rerun(error, attempt, began, policy):
                    raise
                _log.info("attempt %d failed, another follows: %s", attempt, error.message)
            await asyncio.sleep(policy.pause(attempt, self.chance()))

    async def _once(self, work: Work[Result], opened: Opened) -> Result:
        async with commits.certain(self.engine, opened()) as session:
            event.listen(session.sync_session, "before_commit", refuse_commit)
            try:
                return await work(session)
            except DBAPIError as error:
                if isinstance(translate(error), ReadOnlyServerError):
                    # the next attempt shall not get this connection to a former primary again
                    await session.invalidate()
                raise
            finally:
                event.remove(session.sync_session, "before_commit", refuse_commit)


def refuse_commit(session: Any) -> None:
    """Refuse a COMMIT of the unit's own, as an event of its session."""
    if not session.in_nested_transaction():
        raise UsageError(
            "a unit of work commits by itself",
            hint="it is committed when it returns; what it did before would be done twice if it"
            " were run again",
        )
