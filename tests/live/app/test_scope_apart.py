"""A scope is its session's alone: no task, thread or call beside it takes part in it."""

from __future__ import annotations

import asyncio
import contextvars
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select

from pgstead.app.connection import Figures
from pgstead.app.engine import Database
from pgstead.app.scope import UnscopedError
from pgstead.app.sync import SyncDatabase
from pgstead.app.target import Driver
from tests.live.app import hammer
from tests.live.app.hammer import TENANTS, Note
from tests.live.app.ways import settings_to
from tests.live.scratch import Scratch


@pytest.fixture(scope="module", autouse=True)
def _notes(scratch: Scratch) -> None:
    """Make the tables of the hammer, with two notes for each tenant."""
    hammer.prepare(scratch)


def opened(scratch: Scratch, driver: Driver, connections: int = 3) -> Database:
    """Return a database whose tasks share a few connections."""
    known = settings_to(scratch, driver, figures=Figures(connections, 0, 30.0, 840))
    return Database(known, metadata=hammer.Base.metadata)


def test_tasks_of_several_tenants_see_each_their_own(scratch: Scratch, driver: Driver) -> None:
    async def reads(database: Database, tenant: str) -> None:
        async with database.session(tenant=tenant) as session:
            for _ in range(3):
                await asyncio.sleep(0)  # let the others in between the statements
                seen = (await session.scalars(select(Note.tenant_id))).all()
                assert seen == [tenant, tenant]

    async def whole() -> None:
        database = opened(scratch, driver)
        try:
            await asyncio.gather(*(reads(database, tenant) for tenant in TENANTS))
        finally:
            await database.close()

    asyncio.run(whole())


def test_a_task_begun_inside_a_session_inherits_no_scope(scratch: Scratch, driver: Driver) -> None:
    async def whole() -> None:
        database = opened(scratch, driver)

        async def child() -> None:
            async with database.session() as session:
                await session.scalars(select(Note))

        async def other() -> list[str]:
            async with database.session(across_tenants=True) as session:
                return [*(await session.scalars(select(Note.tenant_id)))]

        try:
            async with database.session(tenant=TENANTS[0]) as session:
                await session.scalars(select(Note))
                # a task gets a copy of its parent's context: nothing of the scope may lie there
                assert await asyncio.create_task(other()) == []
                with pytest.raises(UnscopedError):
                    await asyncio.create_task(child())
                assert await asyncio.to_thread(_tenants_in_a_thread, scratch) == []
                values = [str(value) for value in contextvars.copy_context().values()]
                assert not any(TENANTS[0] in value for value in values)
                assert len((await session.scalars(select(Note))).all()) == 2
        finally:
            await database.close()

    asyncio.run(whole())


def _tenants_in_a_thread(scratch: Scratch) -> list[str]:
    known = settings_to(scratch, Driver.ASYNCPG, figures=Figures(1, 0, 5.0, 840))
    database = SyncDatabase(known, metadata=hammer.Base.metadata)
    try:
        with database.session(across_tenants=True) as session:
            return [*session.scalars(select(Note.tenant_id))]
    finally:
        database.close()


def test_a_session_that_is_cancelled_in_one_task_leaves_the_others_theirs(
    scratch: Scratch, driver: Driver
) -> None:
    async def whole() -> None:
        database = opened(scratch, driver, connections=2)
        met = asyncio.Event()

        async def hangs() -> None:
            async with database.session(tenant=TENANTS[1]) as session:
                await session.scalars(select(Note))
                met.set()
                await asyncio.sleep(60)

        try:
            hanging = asyncio.create_task(hangs())
            await met.wait()
            async with database.session(tenant=TENANTS[2]) as session:
                hanging.cancel()
                await asyncio.gather(hanging, return_exceptions=True)
                seen = (await session.scalars(select(Note.tenant_id))).all()
                assert set(seen) == {TENANTS[2]}
            for _ in range(4):  # both connections of the pool
                async with database.session(across_tenants=True) as session:
                    assert (await session.scalars(select(Note))).all() == []
        finally:
            await database.close()

    asyncio.run(whole())


def test_threads_of_several_tenants_see_each_their_own(scratch: Scratch) -> None:
    known = settings_to(scratch, Driver.ASYNCPG, figures=Figures(3, 0, 30.0, 840))
    database = SyncDatabase(known, metadata=hammer.Base.metadata)

    def reads(tenant: str) -> set[str]:
        with database.session(tenant=tenant) as session:
            first = {*session.scalars(select(Note.tenant_id))}
            return first | {*session.scalars(select(Note.tenant_id))}

    try:
        with ThreadPoolExecutor(8) as pool:
            for tenant, seen in zip(TENANTS, pool.map(reads, TENANTS), strict=True):
                assert seen == {tenant}
    finally:
        database.close()
