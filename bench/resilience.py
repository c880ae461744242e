"""What resilience costs, and how fast it fails and recovers, on a server by hand.

    python bench/resilience.py [--rounds 300]

Ratios are against the same transaction without it, in the same run, interleaved.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from pgstead.app import errors
from pgstead.app.breaker import State
from pgstead.app.connection import Figures
from pgstead.app.engine import Database
from pgstead.app.target import Driver
from tests.live.app.work import opened, settings
from tests.live.scratch import Scratch, running_server

Timed = Callable[[], Awaitable[object]]


async def insert(session: AsyncSession) -> None:
    """Write one row."""
    await session.execute(text("INSERT INTO bench VALUES (1)"))


async def interleaved(rounds: int, **timed: Timed) -> dict[str, float]:
    """Return the median milliseconds of each."""
    seconds: dict[str, list[float]] = {name: [] for name in timed}
    for _ in range(rounds):
        for name, what in timed.items():
            began = time.perf_counter()
            await what()
            seconds[name].append(time.perf_counter() - began)
    return {name: statistics.median(each) * 1000 for name, each in seconds.items()}


async def costs(database: Database, rounds: int) -> None:
    """Compare a unit of work with a plain transaction."""

    async def plain() -> None:
        async with database.transaction() as session:
            await insert(session)

    found = await interleaved(rounds, plain=plain, unit=lambda: database.run(insert))
    print(f"  transaction {found['plain']:.2f} ms, unit of work {found['unit']:.2f} ms,", end=" ")
    print(f"ratio {found['unit'] / found['plain']:.2f} (one round trip more)")


async def failing(database: Database, rounds: int) -> None:
    """Measure how fast a call fails while the breaker is open."""
    while database.breaker.state is State.CLOSED:
        await refused(database)
    took: list[float] = []
    for _ in range(rounds):
        began = time.perf_counter()
        if await refused(database) == errors.BreakerOpenError.code:
            took.append(time.perf_counter() - began)
        await asyncio.sleep(0.002)
    print(f"  open: a call fails in {statistics.median(took) * 1000:.3f} ms (median),", end=" ")
    print(f"{max(took) * 1000:.3f} ms (worst of {len(took)})")


async def refused(database: Database) -> str:
    """Ask, and return why not."""
    try:
        async with database.transaction() as session:
            await session.execute(text("SELECT 1"))
    except errors.DatabaseError as error:
        return error.code
    return ""


async def recovering(scratch: Scratch, database: Database) -> None:
    """Measure from the server's first answer to the first one through the pool, under load."""
    done = asyncio.Event()
    answered: list[float] = []

    async def insist() -> None:
        while not done.is_set():
            if not await refused(database):
                answered.append(time.perf_counter())
                done.set()
            await asyncio.sleep(0.01)

    callers = [asyncio.create_task(insist()) for _ in range(20)]
    await asyncio.sleep(1.5)
    await asyncio.to_thread(scratch.start)
    began = time.perf_counter()
    await asyncio.gather(*callers)
    print(f"  back: served {max(0.0, answered[0] - began):.2f} s after the server answered")


async def measure(scratch: Scratch, driver: Driver, rounds: int) -> None:
    """Measure one driver."""
    print(driver)
    known = settings(scratch, driver, figures=Figures(4, 2, 5.0, 840))
    async with opened(known) as database:
        await costs(database, rounds)
        await asyncio.to_thread(scratch.stop)
        await failing(database, rounds)
        await recovering(scratch, database)


def main() -> None:
    """Measure both drivers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=300)
    rounds = parser.parse_args().rounds
    with running_server() as scratch:
        with scratch.admin("jeex_idea") as admin:
            admin.execute("CREATE TABLE bench (n int); GRANT ALL ON bench TO PUBLIC")
        for driver in Driver:
            asyncio.run(measure(scratch, driver, rounds))


if __name__ == "__main__":
    main()
