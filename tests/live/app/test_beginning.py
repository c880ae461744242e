"""BEGIN as the check of the pool: what it takes for dead, and what for busy."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import text

from pgstead.app import errors
from pgstead.app.beginning import AsyncpgConnection, PsycopgAsyncConnection
from pgstead.app.connection import Figures
from pgstead.app.engine import Database
from pgstead.app.target import Driver
from tests.live.app.ways import impatient, settings_to, way_to
from tests.live.app.work import settings
from tests.live.scratch import Scratch

POOLERS = ("at hand", "trixie", "forky")


@pytest.fixture(scope="module", params=POOLERS)
def busy(request: pytest.FixtureRequest, scratch: Scratch) -> Iterator[Scratch]:
    """Give a pooler with a single server connection."""
    with way_to(scratch, request.param, pool_size=1):
        yield scratch


def refusals(scratch: Scratch) -> int:
    """Return how often the pooler let somebody wait in vain."""
    return (scratch.folder / "pooler.log").read_text().count("closing because: query_wait_timeout")


def test_a_pooler_that_is_full_is_asked_once_and_not_again(busy: Scratch, driver: Driver) -> None:
    known = settings_to(busy, driver, figures=Figures(4, 0, 30.0, 840))

    async def whole() -> None:
        database = Database(known)

        async def once() -> None:
            async with database.session() as session:
                await session.execute(text("SELECT 1"))

        try:
            # connections that were used before: none may be tried in another's place
            await asyncio.gather(once(), once(), once())
            async with database.session() as holder:
                await holder.connection()
                before = refusals(busy)
                with impatient(busy), pytest.raises(errors.DatabaseError):
                    await once()
                assert refusals(busy) == before + 1
            await once()
        finally:
            await database.close()

    asyncio.run(whole())


def test_the_drivers_still_have_what_is_leaned_on(scratch: Scratch, driver: Driver) -> None:
    """Where an upgrade takes one of these away, say so here and not in production."""

    async def whole() -> Any:
        database = Database(settings(scratch, driver))
        try:
            async with database.engine.connect() as connection:
                await connection.execute(text("SELECT 1"))
                adapted = (await connection.get_raw_connection()).dbapi_connection
                return adapted, adapted.driver_connection if adapted else None
        finally:
            await database.close()

    adapted, bare = asyncio.run(whole())
    if driver is Driver.ASYNCPG:
        assert isinstance(bare, AsyncpgConnection)
        assert callable(adapted._start_transaction)
        assert bare._top_xact is None
    else:
        assert isinstance(bare, PsycopgAsyncConnection)
        assert callable(bare._start_query)
        assert bare._pipeline is None
    assert bare.waited


def test_a_task_that_is_cancelled_anywhere_leaves_no_connection_behind(
    scratch: Scratch, driver: Driver
) -> None:
    async def whole() -> None:
        database = Database(settings(scratch, driver, figures=Figures(2, 0, 5.0, 840)))

        async def once() -> None:
            async with database.session(tenant="acme") as session:
                await session.execute(text("SELECT 1"))

        try:
            await once()
            for number in range(60):
                task = asyncio.create_task(once())
                for _ in range(number):  # each time a few steps further on
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                assert database.pool().in_use == 0
            await asyncio.gather(once(), once())
        finally:
            await database.close()

    asyncio.run(whole())
