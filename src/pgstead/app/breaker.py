"""The circuit breaker: a database that is down is not asked again and again.

It is asked before every checkout of the engine's pool (`pgstead.app.pool`), so nothing goes round
it. Only failures to connect count, and those of BEGIN, for a pooler without a server lets clients
in: what a working server refuses is no reason to stop asking it.

    closed ---- `failures` in a row ----> open ---- after `rest` ----> half-open
       ^                                    ^                           |     |
       |                                    '------ the probe fails ----'     |
       '------------------------ the probe connects --------------------------'

Half-open, one caller goes through; all others are refused until it has come back. A probe that
hangs is not waited for longer than `patience`: then another one may try.
"""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from pgstead.app.errors import BreakerOpenError, PoolerMisfitError, UnavailableError
from pgstead.errors import SteadError


class State(StrEnum):
    """What the breaker does with the next caller; also the value of a gauge."""

    CLOSED = "closed"  # lets everybody through
    OPEN = "open"  # refuses everybody
    HALF_OPEN = "half-open"  # lets one through, to see


@dataclass(frozen=True, slots=True)
class Limits:
    """When it opens, and for how long. Seconds."""

    failures: int = 5  # in a row
    rest: float = 0.5  # until the next probe; give or take a quarter, so that processes spread
    patience: float = 5.0  # with a probe that does not come back


class Breaker:
    """One breaker for one target. The clock is monotonic, in seconds."""

    def __init__(
        self,
        target: str,
        limits: Limits | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """Begin closed. `chance` gives numbers from 0 to 1, for the spread of `rest`."""
        self.target = target
        self.limits = limits or Limits()
        self._clock = clock
        self._chance = chance
        self._lock = threading.Lock()  # a synchronous engine is used by several threads
        self._failures = 0
        self._era = 0  # each opening and closing begins one; what is left of an older one is stale
        self._rests_until: float | None = None  # None: closed
        self._probe: Permit | None = None
        self._probe_until = 0.0
        self._reason = ""

    @property
    def state(self) -> State:
        """What the next caller would meet."""
        with self._lock:
            if self._rests_until is None:
                return State.CLOSED
            return State.OPEN if self._wait() > 0 else State.HALF_OPEN

    def admit(self) -> Permit:
        """Let a caller through, who reports how it went. Raises BreakerOpenError."""
        with self._lock:
            if self._rests_until is None:
                return Permit(self, self._era, probe=False)
            wait = self._wait()
            if wait > 0:
                raise self._refusal(wait)
            self._probe = Permit(self, self._era, probe=True)
            self._probe_until = self._clock() + self.limits.patience
            return self._probe

    def holds(self, permit: Permit) -> bool:
        """Say whether somebody who was let through, and waited since, may still connect."""
        with self._lock:
            return self._rests_until is None or permit.era == self._era

    def refusal(self) -> BreakerOpenError:
        """Return the refusal for one who has waited in vain."""
        with self._lock:
            return self._refusal(0.0 if self._rests_until is None else self._wait())

    def learn(self, error: BaseException) -> None:
        """Open where statements get each other's answers: the next one may be a wrong one."""
        if isinstance(error, PoolerMisfitError):
            with self._lock:
                self._open(error.message)

    def _wait(self) -> float:
        """Return the seconds until a probe may go; 0 or less: now."""
        now = self._clock()
        assert self._rests_until is not None
        busy = self._probe_until - now if self._probe is not None else 0.0
        return max(self._rests_until - now, busy)

    def _refusal(self, wait: float) -> BreakerOpenError:
        return BreakerOpenError(
            f"{self.target} was not asked, for it failed a moment ago: {self._reason}",
            hint="it is probed now and then, and asked again as soon as it answers",
            retry_after=max(1, math.ceil(wait)),
        )

    def _open(self, reason: str) -> None:
        self._era += 1
        self._failures = 0
        self._probe = None
        self._reason = reason
        rest = self.limits.rest * (0.75 + 0.5 * self._chance())
        self._rests_until = self._clock() + rest

    def report(self, permit: Permit, outcome: Outcome, reason: str = "") -> None:
        """Hear from a caller who was let through."""
        with self._lock:
            current = permit.era == self._era
            if permit.probe:
                self._probed(permit, outcome, reason)
            elif current and outcome is Outcome.CONNECTED:
                self._failures = 0
            elif current and outcome is Outcome.FAILED:
                self._failures += 1
                if self._failures >= self.limits.failures:
                    self._open(reason)

    def _probed(self, permit: Permit, outcome: Outcome, reason: str) -> None:
        if outcome is Outcome.CONNECTED and self._rests_until is not None:
            # also where it is late and another one was sent meanwhile: the database answers
            self._era += 1
            self._failures = 0
            self._probe = None
            self._rests_until = None
        elif permit is not self._probe:
            return
        elif outcome is Outcome.FAILED:
            self._open(reason)
        else:
            self._probe = None


class Outcome(StrEnum):
    """How it went for a caller who was let through."""

    CONNECTED = "connected"
    FAILED = "failed"
    ABANDONED = "abandoned"


@dataclass(slots=True, eq=False)
class Permit:
    """A caller who was let through; the first report counts."""

    breaker: Breaker
    era: int
    probe: bool
    _reported: bool = False

    def connected(self) -> None:
        """Report that the database answered."""
        self._report(Outcome.CONNECTED)

    def failed(self, reason: str) -> None:
        """Report that it did not."""
        self._report(Outcome.FAILED, reason)

    def abandoned(self) -> None:
        """Report that nobody knows: cancelled, or no place in the pool."""
        self._report(Outcome.ABANDONED)

    def settle(self, error: BaseException) -> None:
        """Report what an error of a checkout means."""
        if isinstance(error, UnavailableError) and not isinstance(error, BreakerOpenError):
            self.failed(error.message)
        elif isinstance(error, (SteadError, PoolTimeoutError)) or not isinstance(error, Exception):
            self.abandoned()
        else:
            self.failed(type(error).__name__)

    def _report(self, outcome: Outcome, reason: str = "") -> None:
        if not self._reported:
            self._reported = True
            self.breaker.report(self, outcome, reason)
