"""Connections are cut before and after COMMIT; nothing acknowledged is lost, nothing done twice.

The oracle is a ledger without any unique key: a unit that is done twice shows as two rows.
"""

from __future__ import annotations

import asyncio
import random
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from pgstead.app import errors
from pgstead.app.connection import Figures
from pgstead.app.engine import Database
from pgstead.app.retry import Budget, Retries
from pgstead.app.sync import SyncDatabase
from pgstead.app.target import Driver
from systems.jeex_idea.models import Project, User
from tests.live.app.plaintext import Way, plaintext, pooler_takes_plaintext, through
from tests.live.app.work import address, opened
from tests.live.cutting import Cut, cutting
from tests.live.scratch import Scratch, running_server
from tests.live.service import alembic

INSERT = text("INSERT INTO ledger VALUES (:unit)")
LEDGER = "CREATE TABLE ledger (unit uuid NOT NULL); GRANT ALL ON ledger TO PUBLIC"


@pytest.fixture(scope="module")
def open_scratch(scratch: Scratch) -> Iterator[Scratch]:
    """Give the server with a plaintext door and the ledger."""
    with plaintext(scratch), scratch.admin("jeex_idea") as admin:
        admin.execute(LEDGER)
        yield scratch
        admin.execute("DROP TABLE ledger")


@dataclass
class Journal:
    """What the clients were told."""

    acknowledged: set[uuid.UUID] = field(default_factory=set)
    unknown: set[uuid.UUID] = field(default_factory=set)
    failed: set[uuid.UUID] = field(default_factory=set)
    why: Counter[str] = field(default_factory=Counter[str])

    def wrong(self, scratch: Scratch) -> dict[str, int]:
        """Compare with what the server has; empty where all is right."""
        with scratch.admin("jeex_idea") as admin:
            rows = Counter(unit for (unit,) in admin.execute("SELECT unit FROM ledger"))
        found = {
            "lost": sum(rows[unit] == 0 for unit in self.acknowledged),
            "twice": sum(count > 1 for count in rows.values()),
            "failed and done": sum(rows[unit] > 0 for unit in self.failed),
        }
        return {name: count for name, count in found.items() if count}


Attempt = Callable[[Database, uuid.UUID], Awaitable[None]]


def retry_all(units: Retries) -> None:
    """Let every retry be made: half of all commits are cut."""
    units.budget = Budget(share=1.0, reserve=1000.0)


class InThreads:
    """The same without an event loop: each unit in a thread."""

    def __init__(self) -> None:
        self.database: SyncDatabase | None = None

    async def __call__(self, database: Database, unit: uuid.UUID) -> None:
        """Do it as a worker does, on a database of its own."""
        if self.database is None:
            self.database = SyncDatabase(database.settings, program="tests")
            retry_all(self.database.units)
        await asyncio.to_thread(self.database.run, self.insert(unit))

    @staticmethod
    def insert(unit: uuid.UUID) -> Callable[[Session], None]:
        def work(session: Session) -> None:
            session.execute(INSERT, {"unit": unit})

        return work

    def close(self) -> None:
        assert self.database is not None
        print(f"\n{self.database.units.counts}")
        self.database.close()


def insert(unit: uuid.UUID) -> Callable[[AsyncSession], Awaitable[None]]:
    """Return the unit of work."""

    async def work(session: AsyncSession) -> None:
        await session.execute(INSERT, {"unit": unit})

    return work


async def with_retries(database: Database, unit: uuid.UUID) -> None:
    """Do it as an application does."""
    await database.run(insert(unit))


async def naively(database: Database, unit: uuid.UUID) -> None:
    """Do it as many do: again after any lost connection."""
    while True:
        try:
            async with database.transaction() as session:
                await insert(unit)(session)
                return
        except (errors.UnavailableError, errors.CommitUnknownError):
            continue


async def hammer(
    scratch: Scratch,
    driver: Driver,
    attempt: Attempt,
    cuts: int,
    seed: int = 1,
    way: Way = Way.DIRECT,
) -> tuple[Journal, Counter[Cut], Database]:
    """Run units at once until there were so many cuts."""
    chance, kinds, journal = random.Random(seed), list(Cut), Journal()
    target = scratch.pooler_port if way is Way.BEFORE else scratch.port
    assert target is not None
    async with cutting(target) as proxy:
        known = through(scratch, driver, proxy, way, figures=Figures(8, 0, 30.0, 840))
        if way is not Way.DIRECT:
            behind = proxy.own if way is Way.BEHIND else scratch.port
            await asyncio.to_thread(pooler_takes_plaintext, scratch, behind)
        async with opened(known) as database:
            retry_all(database.units)
            # what an engine asks over its first connection is not what is tried here
            await database.run(lambda session: session.execute(text("SELECT 1")))
            proxy.commits, proxy.cut = 0, lambda _: chance.choice(kinds)
            proxy.cuts.clear()

            async def client() -> None:
                while proxy.commits - proxy.cuts[Cut.NOT] < cuts:
                    assert len(journal.failed) < cuts, journal.why
                    unit = uuid.uuid4()
                    try:
                        await attempt(database, unit)
                    except errors.CommitUnknownError:
                        journal.unknown.add(unit)
                    except errors.DatabaseError as error:
                        journal.failed.add(unit)
                        journal.why[error.code] += 1
                    else:
                        journal.acknowledged.add(unit)

            await asyncio.gather(*(client() for _ in range(8)))
    return journal, proxy.cuts, database


def cut_so_often(
    scratch: Scratch,
    driver: Driver,
    cuts: int,
    way: Way = Way.DIRECT,
    attempt: Attempt = with_retries,
) -> None:
    journal, seen, database = asyncio.run(
        hammer(scratch, driver, attempt, cuts, seed=cuts, way=way)
    )
    print(f"\n{driver}, {way}: cuts {dict(seen)}, acknowledged {len(journal.acknowledged)},")
    print(f"unknown {len(journal.unknown)}, failed {len(journal.failed)},")
    print(f"{database.units.counts}")
    assert min(seen[kind] for kind in Cut) > cuts // 10
    assert journal.wrong(scratch) == {}
    # nothing that could be found out was left open: the server was there all the time
    assert journal.unknown == set()
    assert len(journal.acknowledged) > cuts // 4


def test_no_acknowledged_write_is_lost_and_none_is_done_twice(
    open_scratch: Scratch, driver: Driver
) -> None:
    cut_so_often(open_scratch, driver, 60)


@pytest.mark.soak
def test_a_thousand_cuts_lose_nothing(open_scratch: Scratch, driver: Driver) -> None:
    cut_so_often(open_scratch, driver, 1000)


@pytest.fixture
def threads() -> Iterator[InThreads]:
    """Give what does units without an event loop."""
    made = InThreads()
    yield made
    made.close()


def test_nothing_is_lost_or_done_twice_without_an_event_loop(
    open_scratch: Scratch, threads: InThreads
) -> None:
    cut_so_often(open_scratch, Driver.PSYCOPG, 60, attempt=threads)


@pytest.mark.soak
@pytest.mark.parametrize("way", list(Way))
def test_a_thousand_cuts_lose_nothing_without_an_event_loop(
    open_scratch: Scratch, pooled: Scratch, threads: InThreads, way: Way
) -> None:
    scratch = open_scratch if way is Way.DIRECT else pooled
    cut_so_often(scratch, Driver.PSYCOPG, 1000, way, threads)


@pytest.fixture(scope="module")
def pooled() -> Iterator[Scratch]:
    """Give a server with a pooler before it, both with plaintext doors."""
    with running_server() as scratch, plaintext(scratch):
        alembic("upgrade", "head", connection=scratch.connection)
        scratch.start_pooler()
        with scratch.admin("jeex_idea") as admin:
            admin.execute(LEDGER)
        yield scratch


@pytest.mark.parametrize("way", [Way.BEFORE, Way.BEHIND])
def test_nothing_is_lost_or_done_twice_on_either_side_of_the_pooler(
    pooled: Scratch, driver: Driver, way: Way
) -> None:
    cut_so_often(pooled, driver, 45, way)


@pytest.mark.soak
@pytest.mark.parametrize("way", [Way.BEFORE, Way.BEHIND])
def test_a_thousand_cuts_at_the_pooler_lose_nothing(
    pooled: Scratch, driver: Driver, way: Way
) -> None:
    cut_so_often(pooled, driver, 1000, way)


def test_the_oracle_sees_what_naive_retries_do(open_scratch: Scratch, driver: Driver) -> None:
    journal, _, _ = asyncio.run(hammer(open_scratch, driver, naively, 40, seed=1))
    assert journal.wrong(open_scratch)["twice"] > 0
    with open_scratch.admin("jeex_idea") as admin:
        admin.execute("TRUNCATE ledger")


def test_what_a_resolved_unit_returns_is_whole(open_scratch: Scratch, driver: Driver) -> None:
    key, email = uuid.uuid4(), address()

    async def work(session: AsyncSession) -> tuple[User, Project]:
        old = await session.get(User, key)
        assert old is not None
        old.name = "B"
        new = Project(name="N", created_by=key)
        session.add(new)
        return old, new

    async def whole() -> None:
        async with AsyncExitStack() as stack:
            proxy = await stack.enter_async_context(cutting(open_scratch.port))
            known = through(open_scratch, driver, proxy)
            database = await stack.enter_async_context(opened(known))
            async with database.session(user=key) as session:
                session.add(User(id=key, email=email, name="A"))
            proxy.cut = lambda _: Cut.AFTER if proxy.cuts[Cut.AFTER] == 0 else Cut.NOT
            old, new = await database.run(work, user=key)
            assert proxy.cuts[Cut.AFTER] == 1
            assert (old.name, old.email, new.name) == ("B", email, "N")
            assert new.created_at is not None
            async with database.session(user=key) as session:
                found = await session.get(Project, new.id)
                assert found is not None
                assert found.name == "N"
                # it is a row that exists, not a new one
                new.name = "M"
                assert (await session.merge(new)).name == "M"

    asyncio.run(whole())
