"""Requests whose transactions fail: served again, answered from memory, never done twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text

from pgstead.app import problems, transactions
from pgstead.app.degraded import GoodAnswers, cacheable, degradable
from pgstead.app.engine import Database
from pgstead.app.resilience import ResilienceMiddleware, repeatable
from pgstead.app.target import Driver
from pgstead.app.transactions import Session
from tests.live.app.plaintext import plaintext, through
from tests.live.app.work import opened
from tests.live.cutting import Cut, Proxy, cutting
from tests.live.scratch import Scratch


@pytest.fixture(scope="module")
def open_scratch(scratch: Scratch) -> Iterator[Scratch]:
    """Give the server with a plaintext door and a table."""
    with plaintext(scratch), scratch.admin("jeex_idea") as admin:
        admin.execute(
            "CREATE TABLE notes (id int PRIMARY KEY, said text); GRANT ALL ON notes TO PUBLIC"
        )
        yield scratch
        admin.execute("DROP TABLE notes")


@pytest.fixture(autouse=True)
def no_notes(open_scratch: Scratch) -> None:
    """Begin without notes."""
    with open_scratch.admin("jeex_idea") as admin:
        admin.execute("TRUNCATE notes; INSERT INTO notes VALUES (1, 'a'), (2, 'b')")


@dataclass
class Clock:
    """A clock that a test moves."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Rig:
    """A small service in this process, with the proxy behind it."""

    client: httpx.AsyncClient
    proxy: Proxy
    database: Database
    runs: Counter[str]
    clock: Clock
    meet: asyncio.Barrier = field(default_factory=lambda: asyncio.Barrier(2))

    async def put(self, path: str, said: str = "x") -> httpx.Response:
        return await self.client.put(path, params={"said": said})


def routes(app: FastAPI, rig: Callable[[], Rig]) -> None:
    @app.put("/repeatable/{key}")
    @repeatable
    async def again(key: int, said: str, session: Session) -> dict[str, str]:
        return await write(key, said, session)

    @app.put("/once/{key}")
    async def once(key: int, said: str, session: Session) -> dict[str, str]:
        return await write(key, said, session)

    async def write(key: int, said: str, session: Session) -> dict[str, str]:
        rig().runs[said] += 1
        await session.execute(
            text(
                "INSERT INTO notes VALUES (:key, :said) ON CONFLICT (id)"
                " DO UPDATE SET said = notes.said || excluded.said"
            ),
            {"key": key, "said": said},
        )
        return {"said": said}

    @app.put("/crossed/{key}/{other}")
    @repeatable
    async def crossed(key: int, other: int, said: str, session: Session) -> dict[str, str]:
        rig().runs[said] += 1
        await session.execute(text("SET LOCAL deadlock_timeout = '100ms'"))
        for number in (key, other):
            await session.execute(
                text("UPDATE notes SET said = said || :said WHERE id = :id"),
                {"said": said, "id": number},
            )
            if rig().runs[said] == 1 and number == key:
                await rig().meet.wait()
        return {"said": said}

    @app.get("/notes/{key}")
    @degradable()
    @cacheable(seconds=30)
    async def read(key: int, session: Session) -> dict[str, str | None]:
        rig().runs["read"] += 1
        return {
            "said": await session.scalar(text("SELECT said FROM notes WHERE id = :id"), {"id": key})
        }

    @app.get("/list")
    @cacheable(seconds=30)
    async def every(session: Session) -> list[str]:
        return list(await session.scalars(text("SELECT said FROM notes ORDER BY id")))


@asynccontextmanager
async def service(scratch: Scratch, driver: Driver) -> AsyncIterator[Rig]:
    clock, app = Clock(), FastAPI()
    async with cutting(scratch.port) as proxy, opened(through(scratch, driver, proxy)) as database:
        app.add_middleware(
            ResilienceMiddleware, database=database, answers=GoodAnswers(clock=clock)
        )
        setattr(app.state, transactions.STATE, database)
        problems.install(app)
        routes(app, lambda: rig)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            rig = Rig(client, proxy, database, Counter(), clock)
            yield rig


def serve(scratch: Scratch, driver: Driver, what: Callable[[Rig], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with service(scratch, driver) as rig:
            await what(rig)

    asyncio.run(whole())


def notes(scratch: Scratch) -> dict[int, str]:
    with scratch.admin("jeex_idea") as admin:
        return dict(admin.execute("SELECT id, said FROM notes").fetchall())


def cut_first(rig: Rig, how: Cut) -> None:
    rig.proxy.cut = lambda _: how if rig.proxy.cuts[how] == 0 else Cut.NOT


@pytest.mark.parametrize("path", ["/repeatable/9", "/once/9"])
def test_a_commit_that_was_done_is_answered_as_done(
    open_scratch: Scratch, driver: Driver, path: str
) -> None:
    async def what(rig: Rig) -> None:
        cut_first(rig, Cut.AFTER)
        told = await rig.put(path)
        assert (told.status_code, told.json()) == (200, {"said": "x"})
        assert (rig.proxy.cuts[Cut.AFTER], rig.runs["x"]) == (1, 1)

    serve(open_scratch, driver, what)
    assert notes(open_scratch)[9] == "x"


def test_a_commit_that_was_not_done_is_done_again_where_the_route_allows_it(
    open_scratch: Scratch, driver: Driver
) -> None:
    async def what(rig: Rig) -> None:
        cut_first(rig, Cut.BEFORE)
        assert (await rig.put("/repeatable/9")).status_code == 200
        assert (rig.proxy.cuts[Cut.BEFORE], rig.runs["x"]) == (1, 2)
        rig.proxy.cuts.clear()
        told = await rig.put("/once/10", "y")
        assert (told.status_code, rig.runs["y"]) == (503, 1)
        assert told.json()["type"] == "urn:pgstead:problem:not-committed"
        assert told.headers["retry-after"] == "2"

    serve(open_scratch, driver, what)
    assert notes(open_scratch) == {1: "a", 2: "b", 9: "x"}


def test_a_deadlock_of_two_requests_is_none_for_their_callers(
    open_scratch: Scratch, driver: Driver
) -> None:
    async def what(rig: Rig) -> None:
        both = (rig.put("/crossed/1/2", "x"), rig.put("/crossed/2/1", "y"))
        assert [told.status_code for told in await asyncio.gather(*both)] == [200, 200]
        assert rig.runs["x"] + rig.runs["y"] == 3

    with open_scratch.admin() as admin:
        admin.execute("GRANT SET ON PARAMETER deadlock_timeout TO jeex_idea_app")
    serve(open_scratch, driver, what)
    found = notes(open_scratch)
    assert {"".join(sorted(found[key][1:])) for key in (1, 2)} == {"xy"}


def test_a_cached_answer_shows_its_age_and_is_asked_for_anew_when_it_is_old(
    open_scratch: Scratch, driver: Driver
) -> None:
    async def what(rig: Rig) -> None:
        first = await rig.client.get("/notes/1")
        assert first.json() == {"said": "a"}
        rig.clock.now += 12.5
        again = await rig.client.get("/notes/1")
        assert again.json()["said"] == "a"
        assert again.json()["freshness"]["age_seconds"] == 12.5
        assert again.json()["freshness"]["degraded"] is False
        assert (again.headers["age"], rig.runs["read"]) == ("12", 1)
        assert "x-degraded" not in again.headers
        new = await rig.client.get("/notes/1", headers={"Cache-Control": "no-cache"})
        assert (new.json(), rig.runs["read"]) == ({"said": "a"}, 2)
        rig.clock.now += 31
        # nobody is let to the database but one, however many want it anew
        asked = await asyncio.gather(*(rig.client.get("/notes/1") for _ in range(20)))
        assert rig.runs["read"] == 3
        assert {told.status_code for told in asked} == {200}
        # a list has no field to say it in; its header does
        await rig.client.get("/list")
        assert (await rig.client.get("/list")).headers["age"] == "0"

    serve(open_scratch, driver, what)


def test_a_degraded_answer_survives_the_age_of_a_cached_one(
    open_scratch: Scratch, driver: Driver
) -> None:
    async def what(rig: Rig) -> None:
        await rig.client.get("/notes/1")
        rig.proxy.open = False
        rig.proxy.drop()
        rig.clock.now += 3000
        told = await rig.client.get("/notes/1")
        assert told.json()["freshness"]["degraded"] is True
        assert told.headers["age"] == "3000"
        rig.clock.now += 601
        assert (await rig.client.get("/notes/1")).status_code == 503
        assert (await rig.client.get("/list")).status_code == 503

    serve(open_scratch, driver, what)
