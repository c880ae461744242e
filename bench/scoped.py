"""What a tenant's transaction costs: against the bare drivers and against the usual way.

All in one run, in alternating rounds, through the way that is asked for; medians of the rounds, and
ratios against the bare driver that does the same. The machine decides the microseconds, so only
the ratios are compared; round trips are counted, and depend on nothing.

    python bench/scoped.py [--rounds 7] [--transactions 200] [--pooled]
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import asyncpg
import psycopg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from pgstead.app.engine import Database
from pgstead.app.environment import Settings
from pgstead.app.target import Driver
from tests.live.app.counting_proxy import counting
from tests.live.app.ways import settings_to
from tests.live.scratch import NASTY, Scratch, running_server

QUESTION = "SELECT id, n FROM bench_rows WHERE id = 7"
SET = "SELECT set_config('app.current_tenant_id', 'acme', true)"

Once = Callable[[], Awaitable[None]]


def place(known: Settings, name: str) -> dict[str, Any]:
    """Return what a bare driver connects with."""
    target = known.target
    arguments = target.driver_arguments("bench")
    arguments.pop("prepared_statement_cache_size", None)
    return {
        **arguments,
        "host": target.host,
        "port": target.port,
        "user": target.user,
        "password": NASTY,
        name: target.database,
    }


@asynccontextmanager
async def bare(known: Settings, *, tenant: bool) -> AsyncIterator[Once]:
    """Give the bare driver; with a tenant as it would be set by hand, a statement of its own."""
    if known.target.driver is Driver.ASYNCPG:
        connection: Any = await asyncpg.connect(**place(known, "database"))
        fetch = connection.fetch
    else:
        connection = await psycopg.AsyncConnection.connect(**place(known, "dbname"))

        async def fetch(statement: str) -> None:
            await (await connection.execute(statement)).fetchall()

    async def once() -> None:
        async with connection.transaction():
            if tenant:
                await fetch(SET)
            await fetch(QUESTION)

    try:
        yield once
    finally:
        await connection.close()


@asynccontextmanager
async def usual(known: Settings, *, pre_ping: bool) -> AsyncIterator[Once]:
    """Give plain SQLAlchemy as most applications have it: the tenant set by a statement."""
    target = known.target
    engine = create_async_engine(
        target.url.set(password=NASTY),
        connect_args=target.driver_arguments("bench"),
        pool_pre_ping=pre_ping,
    )
    sessions = async_sessionmaker(engine, expire_on_commit=False)

    async def once() -> None:
        async with sessions.begin() as session:
            await session.execute(text(SET))
            await session.execute(text(QUESTION))

    try:
        yield once
    finally:
        await engine.dispose()


@asynccontextmanager
async def ours(known: Settings, **scope: Any) -> AsyncIterator[Once]:
    """Give a session of pgstead."""
    database = Database(known)

    async def once() -> None:
        async with database.session(**scope) as session:
            await session.execute(text(QUESTION))

    try:
        yield once
    finally:
        await database.close()


async def compare(
    scratch: Scratch, driver: Driver, rounds: int, transactions: int
) -> list[tuple[str, float, float, float]]:
    """Return name, seconds, seconds of this process's own work, and round trips of each."""
    with counting(scratch.pooler_port or scratch.port) as proxy:
        known = settings_to(scratch, driver)
        counted = settings_to(scratch, driver, port=proxy.port)
        makers: dict[str, Callable[[Settings], Any]] = {
            "bare driver, no tenant": lambda to: bare(to, tenant=False),
            "bare driver, tenant as a statement": lambda to: bare(to, tenant=True),
            "pgstead, no tenant": ours,
            "pgstead, tenant": lambda to: ours(to, tenant="acme", user="u1"),
            "SQLAlchemy, tenant as a statement": lambda to: usual(to, pre_ping=False),
            "the same with pool_pre_ping": lambda to: usual(to, pre_ping=True),
        }
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in makers}
        trips: dict[str, float] = {}
        async with AsyncExitStack() as stack:
            timed = {n: await stack.enter_async_context(m(known)) for n, m in makers.items()}
            for _ in range(rounds):
                for name, once in timed.items():
                    times[name].append(await _time(once, transactions))
        for name, maker in makers.items():
            async with maker(counted) as once:
                await _time(once, 10)
                proxy.count.reset()
                await _time(once, 10)
                trips[name] = proxy.count.trips / 10
    medians = {n: [statistics.median(each) for each in zip(*times[n], strict=True)] for n in times}
    return [(name, *medians[name], trips[name]) for name in makers]


async def _time(once: Once, transactions: int) -> tuple[float, float]:
    began, worked = time.perf_counter(), time.process_time()
    for _ in range(transactions):
        await once()
    elapsed, work = time.perf_counter() - began, time.process_time() - worked
    return elapsed / transactions * 1e6, work / transactions * 1e6


def main() -> None:
    """Print a table per driver."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--transactions", type=int, default=200)
    parser.add_argument("--pooled", action="store_true", help="through PgBouncer")
    given = parser.parse_args()
    with running_server() as scratch:
        with scratch.admin("jeex_idea") as admin:
            admin.execute(
                "CREATE TABLE bench_rows AS SELECT g AS id, g AS n FROM generate_series(1, 1000) g;"
                "CREATE UNIQUE INDEX ON bench_rows (id); GRANT SELECT ON bench_rows TO PUBLIC"
            )
        if given.pooled:
            scratch.start_pooler()
        for driver in Driver:
            rows = asyncio.run(compare(scratch, driver, given.rounds, given.transactions))
            floor, floor_work = rows[0][1:3]
            print(f"\n{driver}, {'PgBouncer' if given.pooled else 'direct'}")
            for name, elapsed, work, trips in rows:
                print(
                    f"  {name:36} {elapsed:6.0f} us  x {elapsed / floor:4.2f}"
                    f"  client's own work {work:5.0f} us  x {work / floor_work:4.2f}"
                    f"  {trips:4.1f} trips"
                )


if __name__ == "__main__":
    main()
