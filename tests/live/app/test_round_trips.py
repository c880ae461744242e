"""What a scope costs in round trips: nothing. Counted, for each driver and each way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import asyncpg
import psycopg
import pytest
from sqlalchemy import text

from pgstead.app.engine import Database
from pgstead.app.environment import Settings
from pgstead.app.sync import SyncDatabase
from pgstead.app.target import Driver
from tests.live.app.counting_proxy import Proxy, counting
from tests.live.app.ways import WAYS, settings_to, way_to
from tests.live.scratch import NASTY, Scratch

QUESTION = "SELECT 1"
TIMES = 8
SCOPE = {"tenant": "acme", "user": "u1", "correlation_id": "c1", "statement_timeout": 5.0}


@pytest.fixture(scope="module", params=WAYS)
def through(request: pytest.FixtureRequest, scratch: Scratch) -> Iterator[Proxy]:
    """Give a counting proxy before each way."""
    way = way_to(scratch, request.param)
    with way, counting(scratch.pooler_port or scratch.port) as proxy:
        yield proxy


async def trips(proxy: Proxy, once: Callable[[], Awaitable[object]]) -> float:
    """Return the round trips of doing something once, connected and warm."""
    for _ in range(8):  # psycopg prepares a statement when it comes for the sixth time
        await once()
    proxy.count.reset()
    for _ in range(TIMES):
        await once()
    return proxy.count.trips / TIMES


async def floor(proxy: Proxy, known: Settings, *, prepares: bool) -> float:
    """Return the round trips of the bare driver doing the same, set up in the same way."""
    arguments = known.target.driver_arguments("floor")
    place = {"host": "127.0.0.1", "port": proxy.port, "user": known.target.user}
    if known.target.driver is Driver.ASYNCPG:
        arguments.pop("prepared_statement_cache_size", None)
        arguments["statement_cache_size"] = 100 if prepares else 0
        bare = await asyncpg.connect(**place, database="jeex_idea", password=NASTY, **arguments)

        async def once() -> None:
            async with bare.transaction():
                await bare.fetch(QUESTION)

    else:
        arguments["prepare_threshold"] = 5 if prepares else None
        bare = await psycopg.AsyncConnection.connect(
            **place, dbname="jeex_idea", password=NASTY, **arguments
        )

        async def once() -> None:
            async with bare.transaction():
                await (await bare.execute(QUESTION)).fetchall()

    try:
        return await trips(proxy, once)
    finally:
        await bare.close()


def test_a_scoped_transaction_takes_no_more_than_an_unscoped_one_or_the_bare_driver(
    through: Proxy, scratch: Scratch, driver: Driver
) -> None:
    known = settings_to(scratch, driver, port=through.port)

    async def whole() -> tuple[float, float, float, float]:
        database = Database(known)

        async def scoped() -> None:
            async with database.session(**SCOPE) as session:
                await session.execute(text(QUESTION))

        async def unscoped() -> None:
            async with database.session() as session:
                await session.execute(text(QUESTION))

        async def bare_engine() -> None:
            # what everybody else does: the tenant as a statement of its own
            async with database.session() as session:
                await session.execute(text("SELECT set_config('x.y', 'acme', true)"))
                await session.execute(text(QUESTION))

        try:
            return (
                await trips(through, scoped),
                await trips(through, unscoped),
                await floor(through, known, prepares=database.profile.prepares),
                await trips(through, bare_engine),
            )
        finally:
            await database.close()

    scoped, unscoped, bare, usual = asyncio.run(whole())
    print(f"\n{driver}: scoped {scoped}, unscoped {unscoped}, bare {bare}, usual {usual}")
    assert scoped == unscoped == bare
    assert scoped < usual


def test_the_synchronous_twin_takes_no_more_either(through: Proxy, scratch: Scratch) -> None:
    database = SyncDatabase(settings_to(scratch, Driver.PSYCOPG, port=through.port))

    def count(**scope: object) -> int:
        for _ in range(8):
            once(**scope)
        through.count.reset()
        once(**scope)
        return through.count.trips

    def once(**scope: object) -> None:
        with database.session(**scope) as session:  # pyright: ignore[reportArgumentType]
            session.execute(text(QUESTION))

    try:
        assert count(**SCOPE) == count()
    finally:
        database.close()
