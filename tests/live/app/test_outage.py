"""The database goes and comes back: how often it is asked meanwhile, and what callers get."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import text

from pgstead.app import errors
from pgstead.app.breaker import Breaker, Limits, State
from pgstead.app.connection import Figures
from pgstead.app.engine import Database
from pgstead.app.retry import Budget
from pgstead.app.target import Driver
from tests.live.app.plaintext import plaintext, through
from tests.live.app.ways import impatient, settings_to, way_to
from tests.live.app.work import opened
from tests.live.cutting import Proxy, cutting
from tests.live.scratch import Scratch

CALLERS = 50
FIGURES = Figures(4, 2, 30.0, 840)


class Clock:
    """A clock that a test moves, for what may not depend on how fast a machine is."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def open_scratch(scratch: Scratch) -> Iterator[Scratch]:
    """Give the server with a plaintext door."""
    with plaintext(scratch):
        yield scratch


async def ask(database: Database) -> str:
    """Ask once; return what came of it."""
    try:
        async with database.transaction() as session:
            return str(await session.scalar(text("SELECT 'answered'")))
    except errors.DatabaseError as error:
        return error.code


async def many(database: Database) -> Counter[str]:
    """Ask at once, as a service's requests do."""
    return Counter(await asyncio.gather(*(ask(database) for _ in range(CALLERS))))


def goes_down(proxy: Proxy) -> None:
    proxy.open = False
    proxy.drop()


def clocked() -> tuple[Breaker, Clock]:
    clock = Clock()
    return Breaker("jeex_idea", Limits(), clock=clock, chance=lambda: 0.5), clock


@pytest.mark.parametrize("pre_ping", [True, False])
def test_an_outage_from_its_beginning_to_its_end(
    open_scratch: Scratch, driver: Driver, pre_ping: bool
) -> None:
    async def whole() -> None:
        breaker, clock = clocked()
        async with cutting(open_scratch.port) as proxy:
            known = through(open_scratch, driver, proxy, figures=FIGURES)
            database = Database(known, program="tests", breaker=breaker, pre_ping=pre_ping)
            try:
                assert await many(database) == {"answered": CALLERS}
                goes_down(proxy)
                # it opens within what the pool lets through at once, and what was broken already
                told = await many(database)
                while breaker.state is State.CLOSED:
                    told = await many(database)
                # those who waited for a place are told at once too
                assert set(told) <= {"database-unavailable", "breaker-open"}
                assert told["breaker-open"] > 0
                # open: nobody goes to the database, however many come
                before = proxy.connections
                for _ in range(4):
                    assert await many(database) == {"breaker-open": CALLERS}
                assert proxy.connections == before
                # half-open and still down: one goes
                clock.now += 2
                assert await many(database) == {
                    "database-unavailable": 1,
                    "breaker-open": CALLERS - 1,
                }
                assert proxy.connections == before + 1
                # back: the first one to probe finds it, then all are served, by the pool's few
                proxy.open = True
                assert await many(database) == {"breaker-open": CALLERS}
                clock.now += 2
                assert await ask(database) == "answered"
                assert await many(database) == {"answered": CALLERS}
                assert proxy.connections <= before + 1 + FIGURES.limit + CALLERS // FIGURES.limit
                assert breaker.state is State.CLOSED
            finally:
                await database.close()

    asyncio.run(whole())


def test_while_it_is_down_no_herd_reaches_it(open_scratch: Scratch, driver: Driver) -> None:
    """In real time: a hundred callers who never give up cost about two attempts a second."""

    async def whole() -> tuple[int, float]:
        async with cutting(open_scratch.port) as proxy:
            known = through(open_scratch, driver, proxy, figures=FIGURES)
            async with opened(known) as database:
                await many(database)
                goes_down(proxy)
                while database.breaker.state is State.CLOSED:
                    await many(database)
                loop = asyncio.get_running_loop()
                before, began = proxy.connections, loop.time()

                async def insist() -> None:
                    while loop.time() < began + 3:
                        await ask(database)
                        await asyncio.sleep(0.01)

                await asyncio.gather(*(insist() for _ in range(CALLERS)))
                return proxy.connections - before, loop.time() - began

    attempts, seconds = asyncio.run(whole())
    print(f"\n{driver}: {attempts} attempts in {seconds:.1f} s")
    assert 1 <= attempts <= seconds / (Limits().rest * 0.75) + 1


def test_raw_connections_ask_the_breaker_too_and_also_after_dispose(
    open_scratch: Scratch, driver: Driver
) -> None:
    async def whole() -> None:
        breaker, _ = clocked()
        async with cutting(open_scratch.port) as proxy:
            known = through(open_scratch, driver, proxy)
            database = Database(known, program="tests", breaker=breaker)
            goes_down(proxy)
            while breaker.state is State.CLOSED:
                await ask(database)
            before = proxy.connections
            for _ in range(2):
                with pytest.raises(errors.BreakerOpenError):
                    async with database.engine.connect():
                        pass
                await database.engine.dispose()
            assert proxy.connections == before
            await database.close()

    asyncio.run(whole())


def test_what_a_working_server_refuses_opens_nothing(open_scratch: Scratch, driver: Driver) -> None:
    async def whole() -> None:
        async with cutting(open_scratch.port) as proxy:
            known = through(open_scratch, driver, proxy, figures=Figures(1, 0, 0.05, 840))
            async with opened(known) as database:
                for _ in range(8):
                    with pytest.raises(errors.DatabaseError):
                        async with database.transaction() as session:
                            await session.execute(text("SELECT 1/0"))
                async with database.transaction() as session:
                    await session.execute(text("SELECT 1"))
                    for _ in range(8):
                        assert await ask(database) == "pool-exhausted"
                assert database.breaker.state is State.CLOSED

    asyncio.run(whole())


def test_a_cancelled_probe_lets_the_next_one_through(open_scratch: Scratch, driver: Driver) -> None:
    async def whole() -> None:
        breaker, clock = clocked()
        async with cutting(open_scratch.port) as proxy:
            known = through(open_scratch, driver, proxy)
            database = Database(known, program="tests", breaker=breaker)
            goes_down(proxy)
            while breaker.state is State.CLOSED:
                await ask(database)
            clock.now += 2
            proxy.open = True
            task = asyncio.create_task(ask(database))
            for _ in range(1000):
                # one step of the loop at a time, until it has been let through
                if breaker.state is State.OPEN:
                    break
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert breaker.state is State.HALF_OPEN
            assert await ask(database) == "answered"
            assert database.pool().in_use == 0
            await database.close()

    asyncio.run(whole())


def test_retries_do_not_multiply_an_outage(open_scratch: Scratch, driver: Driver) -> None:
    """Without a breaker in the way: what the budget alone allows."""

    async def whole() -> None:
        async with cutting(open_scratch.port) as proxy:
            known = through(open_scratch, driver, proxy, figures=Figures(20, 0, 30.0, 840))
            never = Breaker("jeex_idea", Limits(failures=10**9))
            database = Database(known, program="tests", breaker=never)
            database.units.budget = Budget(share=0.1, reserve=5)
            goes_down(proxy)

            async def unit() -> Any:
                return await database.run(lambda session: session.execute(text("SELECT 1")))

            told = await asyncio.gather(*(unit() for _ in range(100)), return_exceptions=True)
            assert {type(each) for each in told} == {errors.UnavailableError}
            counts = database.units.counts
            assert counts.units == 100
            assert counts.retries <= 5 + 0.1 * 100
            assert counts.refused > 0
            assert proxy.connections == 100 + counts.retries
            await database.close()

    asyncio.run(whole())


def test_a_pooler_that_has_no_server_opens_it_and_closes_it_when_it_has(
    scratch: Scratch, driver: Driver
) -> None:
    """It lets clients in all the same: to connect to it says nothing of the database."""

    async def whole() -> None:
        breaker, clock = clocked()
        known = settings_to(scratch, driver, figures=FIGURES)
        database = Database(known, program="tests", breaker=breaker)
        try:
            assert await many(database) == {"answered": CALLERS}
            with impatient(scratch):
                await asyncio.to_thread(stop_server, scratch)
                for _ in range(20):
                    if breaker.state is State.OPEN:
                        break
                    assert set(await many(database)) <= {"database-unavailable", "breaker-open"}
                assert await many(database) == {"breaker-open": CALLERS}
                # half-open: the pooler answers its probe, and still it is no answer
                clock.now += 2
                assert await many(database) == {
                    "database-unavailable": 1,
                    "breaker-open": CALLERS - 1,
                }
                assert breaker.state is State.OPEN
            await asyncio.to_thread(scratch.start)
            while breaker.state is not State.CLOSED:
                clock.now += 2
                await ask(database)
                await asyncio.sleep(0.2)
            assert await many(database) == {"answered": CALLERS}
        finally:
            await database.close()

    with way_to(scratch, "at hand"):
        ini = scratch.folder / "pooler" / "pgbouncer.ini"
        ini.write_text(f"{ini.read_text()}\nserver_login_retry = 1\n")
        scratch.restart_pooler()
        asyncio.run(whole())


def stop_server(scratch: Scratch) -> None:
    """Stop PostgreSQL alone."""
    assert scratch.process is not None
    scratch.process.send_signal(signal.SIGINT)
    scratch.process.wait(30)
