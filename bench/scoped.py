"""What a tenant's transaction costs: against the bare drivers, the usual way, and a public helper.

All in one run for each driver and way (direct, through PgBouncer): they take turns, ten
transactions each, so that a noisy machine hits all alike. Ratios are against the bare driver that a
careful person would use: BEGIN, set_config, the statement, COMMIT. The machine decides the
microseconds, so only the ratios are compared; round trips are counted, and depend on nothing.

    python bench/scoped.py [--rounds 40]

The public helper is fastapi-rls (bench/requirements.txt), installed into a temporary folder; where
that cannot be had, its line says why.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
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

TURN = 10  # transactions

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


@asynccontextmanager
async def helper(known: Settings, library: Any) -> AsyncIterator[Once]:
    """Give fastapi-rls as it is meant to be used: its dependency, on a plain engine."""
    target = known.target
    engine = create_async_engine(
        target.url.set(password=NASTY), connect_args=target.driver_arguments("bench")
    )
    sessions = async_sessionmaker(engine, expire_on_commit=False)
    opened = asynccontextmanager(
        library.make_async_session_dependency(sessions, identity=dict, is_local=True)
    )

    async def once() -> None:
        async with opened({"tenant_id": "acme"}) as session:
            await session.execute(text(QUESTION))

    try:
        yield once
    finally:
        await engine.dispose()


def public_helper(folder: str) -> Any:
    """Install the public helper into a folder and import it; return words where that fails."""
    wanted = Path(__file__).with_name("requirements.txt")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", folder]
    done = subprocess.run(
        [*command, "-r", str(wanted)], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        return f"not measured, pip failed: {done.stderr.strip().splitlines()[-1]}"
    sys.path.append(folder)
    try:
        return importlib.import_module("fastapi_rls.dependencies")
    except ImportError as error:
        return f"not measured: {error}"


@dataclass
class Measured:
    """One way to do it, and what was seen of it."""

    name: str
    maker: Callable[[Settings], Any]
    elapsed: list[float] = field(default_factory=list[float])  # microseconds per transaction
    work: list[float] = field(default_factory=list[float])  # of this process's own
    trips: float = 0.0

    @property
    def median(self) -> float:
        """The median transaction."""
        return statistics.median(self.elapsed)

    @property
    def p95(self) -> float:
        """The transaction that 95 of 100 are faster than."""
        return sorted(self.elapsed)[len(self.elapsed) * 95 // 100]


def ways_to_do_it(library: Any) -> list[Measured]:
    """Return what is compared; the floor first."""
    found = [
        Measured("bare, tenant by hand (floor)", lambda to: bare(to, tenant=True)),
        Measured("bare, no tenant", lambda to: bare(to, tenant=False)),
        Measured("pgstead, tenant", lambda to: ours(to, tenant="acme", user="u1")),
        Measured("pgstead, no tenant", ours),
        Measured("SQLAlchemy, tenant as a statement", lambda to: usual(to, pre_ping=False)),
        Measured("the same with pool_pre_ping", lambda to: usual(to, pre_ping=True)),
    ]
    if not isinstance(library, str):
        found.append(Measured("fastapi-rls", lambda to: helper(to, library)))
    return found


async def compare(scratch: Scratch, driver: Driver, rounds: int, library: Any) -> list[Measured]:
    """Let all take turns, then count the round trips of each."""
    with counting(scratch.pooler_port or scratch.port) as proxy:
        known = settings_to(scratch, driver)
        counted = settings_to(scratch, driver, port=proxy.port)
        all_ = ways_to_do_it(library)
        async with AsyncExitStack() as stack:
            timed = [(m, await stack.enter_async_context(m.maker(known))) for m in all_]
            for _, once in timed:
                await _time(once, [], [])
            for number in range(rounds):
                for measured, once in timed if number % 2 else timed[::-1]:
                    await _time(once, measured.elapsed, measured.work)
        for measured in all_:
            async with measured.maker(counted) as once:
                await _time(once, [], [])
                proxy.count.reset()
                await _time(once, [], [])
                measured.trips = proxy.count.trips / TURN
    return all_


async def _time(once: Once, elapsed: list[float], work: list[float]) -> None:
    for _ in range(TURN):
        began, worked = time.perf_counter(), time.process_time()
        await once()
        elapsed.append((time.perf_counter() - began) * 1e6)
        work.append((time.process_time() - worked) * 1e6)


def tell(title: str, all_: list[Measured], library: Any) -> None:
    """Print a table."""
    floor = all_[0]
    floor_work = statistics.median(floor.work)
    print(f"\n{title}")
    for measured in all_:
        work = statistics.median(measured.work)
        print(
            f"  {measured.name:34} median {measured.median:6.0f} us"
            f"  x {measured.median / floor.median:4.2f}  p95 {measured.p95:6.0f} us"
            f"  x {measured.p95 / floor.p95:4.2f}  client's own work {work:5.0f} us"
            f"  x {work / floor_work:4.2f}  {measured.trips:4.1f} trips"
        )
    if isinstance(library, str):
        print(f"  {'fastapi-rls':34} {library}")


def main() -> None:
    """Print a table per driver and way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40, help=f"of {TURN} transactions each")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, running_server() as scratch:
        library = public_helper(folder)
        with scratch.admin("jeex_idea") as admin:
            admin.execute(
                "CREATE TABLE bench_rows AS SELECT g AS id, g AS n FROM generate_series(1, 1000) g;"
                "CREATE UNIQUE INDEX ON bench_rows (id); GRANT SELECT ON bench_rows TO PUBLIC"
            )
        for way in ("direct", "PgBouncer"):
            if way != "direct":
                scratch.start_pooler(pool_size=20)
            for driver in Driver:
                all_ = asyncio.run(compare(scratch, driver, given.rounds, library))
                tell(f"{driver}, {way}", all_, library)


if __name__ == "__main__":
    main()
