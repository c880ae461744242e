"""Both drivers through a real PgBouncer in transaction mode, without prepared statements."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Iterator

import pytest
from sqlalchemy import text

from pgstead.app.connection import Figures, read
from pgstead.app.engine import Database
from pgstead.app.environment import Settings
from pgstead.app.target import Driver, Target
from tests.live.scratch import Scratch, running_server
from tests.live.service import alembic, serving


@pytest.fixture(scope="module")
def pooled() -> Iterator[Scratch]:
    """Give a server with the pooler before it, migrated."""
    with running_server() as running:
        alembic("upgrade", "head", connection=running.connection)
        running.start_pooler()
        yield running


def database(scratch: Scratch, driver: Driver) -> Database:
    """Open jeex_idea through the pooler, with more connections than the pooler has."""
    file = read(scratch.connection)
    target = Target.from_file(file, driver=driver)
    assert target.pooled
    figures = Figures(8, 4, 30.0, 840)
    return Database(Settings("jeex_idea", "test", target, figures, echo=False, file=file))


async def ask(opened: Database, seen: Counter[str]) -> None:
    """Ask many different questions, each in a transaction of its own."""
    for number in range(20):
        async with opened.transaction() as session:
            for _ in range(3):
                kind = random.randrange(12)
                # each query has its own text: a mixed-up statement shows as a wrong value
                row = (
                    await session.execute(
                        text(f"SELECT {kind} AS kind, CAST(:number AS int) AS number"),
                        {"number": number},
                    )
                ).one()
                seen["right" if (row.kind, row.number) == (kind, number) else "WRONG"] += 1
                await asyncio.sleep(0)


@pytest.mark.parametrize("driver", list(Driver))
def test_no_statement_gets_another_s_answer(pooled: Scratch, driver: Driver) -> None:
    async def whole() -> Counter[str]:
        seen: Counter[str] = Counter()
        opened = [database(pooled, driver), database(pooled, driver)]
        try:
            await asyncio.gather(*(ask(one, seen) for one in opened for _ in range(12)))
        finally:
            for one in opened:
                await one.close()
        return seen

    assert asyncio.run(whole()) == {"right": 2 * 12 * 20 * 3}


@pytest.mark.parametrize("driver", list(Driver))
def test_a_changed_column_type_gives_right_values(pooled: Scratch, driver: Driver) -> None:
    async def whole() -> None:
        opened = database(pooled, driver)
        try:
            for kind, wanted in (("int", 1065353216), ("real", 1065353216.0)):
                with pooled.admin("jeex_idea") as admin:
                    admin.execute(f"ALTER TABLE typed ALTER v TYPE {kind} USING v::{kind}".encode())
                for _ in range(4):
                    async with opened.transaction() as session:
                        value = await session.scalar(text("SELECT v FROM typed"))
                        assert isinstance(value, type(wanted))
                        # psycopg reads a real from its shortest text
                        assert value == pytest.approx(wanted, rel=1e-6)
        finally:
            await opened.close()

    with pooled.admin("jeex_idea") as admin:
        # 0x3F800000: read with the wrong type it is 1.0
        admin.execute("CREATE TABLE typed AS SELECT 1065353216 AS v; GRANT ALL ON typed TO PUBLIC")
        try:
            asyncio.run(whole())
        finally:
            admin.execute("DROP TABLE typed")


def test_the_service_works_through_it_and_rides_through_its_restart(pooled: Scratch) -> None:
    with serving(pooled) as running:
        api = running.client
        told = api.get("/health/db").json()
        assert told["pooled"] is True
        body = {"email": "pooled@example.com", "name": "P"}
        user = api.post("/users", json=body).json()
        api.headers["X-User-ID"] = user["id"]
        project = api.post("/projects", json={"name": "P", "created_by": user["id"]}).json()
        path = f"/projects/{project['id']}"
        assert api.patch(path, json={"name": "Q"}).json()["name"] == "Q"
        assert api.post("/users", json=body).json()["constraint"] == "users_email_key"
        assert pooled.pooler is not None
        pooled.restart_pooler()
        for _ in range(3):
            assert api.get(path).status_code == 200
