"""Laws of the circuit breaker, on a clock of our own."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from pgstead.app import errors
from pgstead.app.breaker import Breaker, Limits, Permit, State
from pgstead.errors import SteadError

LIMITS = Limits(failures=3, rest=1.0, patience=5.0)
LONGEST_REST = LIMITS.rest * 1.25


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class BreakerMachine(RuleBasedStateMachine):
    """Callers come, are let through or not, and report in any order and at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.chance = 0.5
        self.breaker = Breaker("db", LIMITS, clock=self.clock, chance=lambda: self.chance)
        self.out: list[Permit] = []
        self.probes: list[tuple[Permit, float]] = []
        self.failures_in_a_row = 0
        self.opened_at: float | None = None

    @rule(chance=st.floats(0, 1), seconds=st.floats(0.01, 8))
    def time_passes(self, chance: float, seconds: float) -> None:
        self.chance = chance
        self.clock.now += seconds

    @rule()
    def somebody_comes(self) -> None:
        before = self.breaker.state
        if before is State.OPEN:
            with pytest.raises(errors.BreakerOpenError) as caught:
                self.breaker.admit()
            assert caught.value.retry_after is not None
            assert 1 <= caught.value.retry_after <= max(LONGEST_REST, LIMITS.patience) + 1
            return
        permit = self.breaker.admit()
        assert permit.probe == (before is State.HALF_OPEN)
        self.out.append(permit)
        if permit.probe:
            self.probes.append((permit, self.clock.now))

    @rule(callers=st.integers(2, 50))
    def many_come_at_once(self, callers: int) -> None:
        before = self.breaker.state
        let: list[Permit] = []
        for _ in range(callers):
            with suppress(errors.BreakerOpenError):
                let.append(self.breaker.admit())
        wanted = {State.CLOSED: callers, State.OPEN: 0, State.HALF_OPEN: 1}[before]
        assert len(let) == wanted
        self.out += let
        self.probes += [(permit, self.clock.now) for permit in let if permit.probe]

    @precondition(lambda self: self.out)
    @rule(data=st.data(), how=st.sampled_from(["connected", "failed", "abandoned"]))
    def somebody_reports(self, data: st.DataObject, how: str) -> None:
        permit = self.out.pop(data.draw(st.integers(0, len(self.out) - 1)))
        before = self.breaker.state
        if how == "failed":
            permit.failed("no connection")
        else:
            getattr(permit, how)()
        self.probes = [(probe, since) for probe, since in self.probes if probe is not permit]
        after = self.breaker.state
        if how == "connected" and permit.probe:
            assert after is State.CLOSED
        elif before is not State.CLOSED:
            assert after is not State.CLOSED, "only a probe that connects closes it"
        elif how != "failed":
            assert after is State.CLOSED, "only a failure opens it"
        if before is State.CLOSED and after is not State.CLOSED:
            self.opened_at = self.clock.now
        if after is State.CLOSED:
            self.opened_at = None

    @invariant()
    def never_two_probes_that_are_waited_for(self) -> None:
        young = [p for p, since in self.probes if self.clock.now < since + LIMITS.patience]
        assert len([p for p in young if p is self.breaker._probe]) <= 1
        if self.breaker.state is State.HALF_OPEN:
            assert self.breaker._probe not in young

    @invariant()
    def it_rests_for_a_while_and_not_for_long(self) -> None:
        if self.opened_at is None or self.probes:
            return
        rested = self.clock.now - self.opened_at
        if rested < LIMITS.rest * 0.75:
            assert self.breaker.state is State.OPEN


TestBreaker = BreakerMachine.TestCase


def opened() -> tuple[Breaker, Clock]:
    """Return a breaker that is open."""
    clock = Clock()
    breaker = Breaker("db", LIMITS, clock=clock)
    for _ in range(LIMITS.failures):
        breaker.admit().failed("refused")
    assert breaker.state is State.OPEN
    return breaker, clock


def test_half_open_lets_one_of_fifty_concurrent_callers_through() -> None:
    breaker, clock = opened()
    clock.now += LONGEST_REST
    asked = 0

    async def call() -> None:
        nonlocal asked
        permit = breaker.admit()
        asked += 1
        await asyncio.sleep(0)
        permit.failed("still down")

    async def whole() -> list[BaseException | None]:
        return await asyncio.gather(*(call() for _ in range(50)), return_exceptions=True)

    refused = asyncio.run(whole())
    assert asked == 1
    assert sum(isinstance(r, errors.BreakerOpenError) for r in refused) == 49


def test_a_probe_that_hangs_does_not_close_the_door_for_ever() -> None:
    breaker, clock = opened()
    clock.now += LONGEST_REST
    hanging = breaker.admit()
    with pytest.raises(errors.BreakerOpenError):
        breaker.admit()
    clock.now += LIMITS.patience
    second = breaker.admit()
    assert second.probe
    second.failed("refused")
    hanging.connected()  # late, and true all the same
    assert breaker.state is State.CLOSED


def test_a_caller_from_before_the_outage_closes_nothing() -> None:
    clock = Clock()
    breaker = Breaker("db", LIMITS, clock=clock)
    early = breaker.admit()
    for _ in range(LIMITS.failures):
        breaker.admit().failed("refused")
    early.connected()
    assert breaker.state is State.OPEN


@given(st.lists(st.sampled_from(["connected", "failed", "abandoned"]), max_size=40))
def test_it_opens_after_failures_in_a_row_and_no_sooner(reports: list[str]) -> None:
    breaker, in_a_row = Breaker("db", LIMITS, clock=Clock()), 0
    for how in reports:
        permit = breaker.admit()
        if how == "failed":
            permit.failed("refused")
            in_a_row += 1
        elif how == "connected":
            permit.connected()
            in_a_row = 0
        else:
            permit.abandoned()  # says nothing
        if in_a_row == LIMITS.failures:
            assert breaker.state is State.OPEN
            return
        assert breaker.state is State.CLOSED


@pytest.mark.parametrize(
    "error",
    [
        asyncio.CancelledError(),
        KeyboardInterrupt(),
        PoolTimeoutError("no place"),
        SteadError("the password file cannot be read"),
    ],
)
def test_what_is_not_the_database_s_fault_does_not_count(error: BaseException) -> None:
    breaker, clock = Breaker("db", LIMITS, clock=Clock()), None
    for _ in range(10):
        breaker.admit().settle(error)
    assert breaker.state is State.CLOSED
    breaker, clock = opened()
    clock.now += LONGEST_REST
    breaker.admit().settle(error)
    assert breaker.state is State.HALF_OPEN, "the next one may probe at once"


def test_answers_of_another_s_statement_open_it_at_once() -> None:
    breaker = Breaker("db", LIMITS, clock=Clock())
    breaker.learn(errors.UniqueError(errors.Violation("23505", "c", "t", ())))
    assert breaker.state is State.CLOSED
    breaker.learn(errors.PoolerMisfitError("a prepared statement is not the one"))
    assert breaker.state is State.OPEN
