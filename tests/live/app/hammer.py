"""The leak hammer: many tenants over few server connections, with everything that can go wrong.

Each transaction is one tenant's and does one thing at random, among them errors, cancellations,
savepoints, lazy loads, `get`, raw SQL and connections that are killed. Whatever rows it sees are
counted; a row of another tenant is a leak. Strangers, who say nothing of a tenant, look as well.
"""

from __future__ import annotations

import asyncio
import random
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
from sqlalchemy import ForeignKey, MetaData, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from sqlalchemy.types import String, Uuid

from pgstead.app.connection import Figures
from pgstead.app.engine import Database
from pgstead.app.environment import Settings
from pgstead.app.errors import AccessDeniedError, UnavailableError, ValueRefusedError
from pgstead.app.guard import ROW_SECURITY
from pgstead.app.scope import OPTION, Scope
from pgstead.app.target import Driver
from tests.live.app.ways import settings_of
from tests.live.scratch import NASTY, Scratch

TENANTS = tuple(f"tenant-{number:02}" for number in range(50))
_NAMES = uuid.UUID("6ba7b811-9dad-11d1-80b4-00c04fd430c8")
_EXPECTED = (AccessDeniedError, UnavailableError, ValueRefusedError, TimeoutError)


@dataclass(frozen=True)
class ByTenant:
    """What a table's declaration says to the guard."""

    settings: tuple[str, ...] = ("app.current_tenant_id",)


class Base(DeclarativeBase):
    metadata = MetaData()


class Note(Base):
    __tablename__ = "hammer_notes"
    __table_args__ = ({"info": {ROW_SECURITY: ByTenant()}},)
    id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True)
    tenant_id: Mapped[str] = mapped_column(String(100))
    touched: Mapped[int] = mapped_column(default=0)
    lines: Mapped[list[Line]] = relationship()


class Line(Base):
    __tablename__ = "hammer_lines"
    __table_args__ = ({"info": {ROW_SECURITY: ByTenant()}},)
    id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True)
    tenant_id: Mapped[str] = mapped_column(String(100))
    note_id: Mapped[uuid.UUID] = mapped_column(ForeignKey(Note.id))


_SETTING = "(SELECT NULLIF(current_setting('app.current_tenant_id', true), ''))"


def prepare(scratch: Scratch) -> None:
    """Make the tables, protected by the floor alone, with two notes of two lines per tenant."""
    with scratch.admin("jeex_idea") as admin:
        for table, more in (("hammer_notes", "touched int"), ("hammer_lines", "note_id uuid")):
            admin.execute(
                f"""
                DROP TABLE IF EXISTS {table};
                CREATE TABLE {table} (id uuid PRIMARY KEY, tenant_id varchar(100) NOT NULL, {more});
                CREATE INDEX ON {table} (tenant_id);
                ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
                CREATE POLICY tenant_isolation_policy ON {table}
                  USING (tenant_id = {_SETTING}) WITH CHECK (tenant_id = {_SETTING});
                GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO jeex_idea_app
                """.encode()
            )
        with admin.cursor() as cursor:
            for tenant in TENANTS:
                for number in range(2):
                    note = note_id(tenant, number)
                    cursor.execute("INSERT INTO hammer_notes VALUES (%s, %s, 0)", [note, tenant])
                    for _ in range(2):
                        cursor.execute(
                            "INSERT INTO hammer_lines VALUES (%s, %s, %s)",
                            [uuid.uuid4(), tenant, note],
                        )


def note_id(tenant: str, number: int) -> uuid.UUID:
    """Return the key of a tenant's note."""
    return uuid.uuid5(_NAMES, f"{tenant}/{number}")


def strike(
    connection: Path, driver: Driver, size: int, transactions: int, seed: int = 7
) -> Counter[str]:
    """Run a hammer of one's own; several processes may do so at once."""
    known = settings_of(connection, driver, figures=Figures(size, 0, 30.0, 840))

    async def whole() -> Counter[str]:
        database = Database(known, metadata=Base.metadata)
        try:
            return await Hammer(database, known, random.Random(seed)).run(transactions)
        finally:
            await database.close()

    return asyncio.run(whole())


@dataclass
class Hammer:
    """One run: its database, and what was seen."""

    database: Database
    known: Settings
    chance: random.Random
    counts: Counter[str] = field(default_factory=Counter)

    def saw(self, mine: str | None, tenants: Iterable[str]) -> None:
        """Count rows by whether they are one's own; `mine` is None for a stranger."""
        for tenant in tenants:
            self.counts["own rows" if tenant == mine else "FOREIGN ROWS"] += 1

    async def run(self, transactions: int, tasks: int = 12) -> Counter[str]:
        """Do that many transactions, several at a time."""

        async def some() -> None:
            for _ in range(transactions // tasks):
                await self.once()

        await asyncio.gather(*(some() for _ in range(tasks)))
        return self.counts

    async def once(self) -> None:
        """Do one transaction, of a tenant or of a stranger."""
        act = self.chance.choices(ACTS, WEIGHTS)[0]
        self.counts[act.__name__] += 1
        try:
            await act(self, self.chance.choice(TENANTS))
        except _EXPECTED as error:
            self.counts[f"expected {type(error).__name__}"] += 1
        except _Planned:
            self.counts["expected error of the application"] += 1
        except Exception as error:  # noqa: BLE001 - counting them all is the point
            self.counts[f"UNEXPECTED {type(error).__name__}: {str(error)[:120]}"] += 1


class _Planned(Exception):  # noqa: N818 - not an error: a plan
    pass


async def _tenants(session: AsyncSession) -> list[str]:
    return [*(await session.scalars(select(Note.tenant_id)))]


async def reads(hammer: Hammer, mine: str) -> None:
    async with hammer.database.session(tenant=mine) as session:
        notes = (await session.scalars(select(Note))).all()
        hammer.saw(mine, (note.tenant_id for note in notes))
        assert len(notes) >= 2, "own rows are missing"


async def reads_raw(hammer: Hammer, mine: str) -> None:
    async with hammer.database.session(tenant=mine) as session:
        rows = await session.execute(text("SELECT tenant_id FROM hammer_notes"))
        hammer.saw(mine, [row[0] for row in rows])


async def gets(hammer: Hammer, mine: str) -> None:
    other = hammer.chance.choice(TENANTS)
    async with hammer.database.session(tenant=mine) as session:
        note = await session.get(Note, note_id(mine, 0))
        assert note is not None, "own row is missing"
        hammer.saw(mine, [note.tenant_id])
        foreign = await session.get(Note, note_id(other, 1))
        hammer.saw(mine, [foreign.tenant_id] if foreign else [])


async def loads_lazily(hammer: Hammer, mine: str) -> None:
    def lines(session: Any) -> list[str]:
        notes = session.scalars(select(Note)).all()
        return [line.tenant_id for note in notes for line in note.lines]

    async with hammer.database.session(tenant=mine) as session:
        hammer.saw(mine, await session.run_sync(lines))


async def writes(hammer: Hammer, mine: str) -> None:
    async with hammer.database.session(tenant=mine) as session:
        changed = await session.scalars(
            update(Note).values(touched=Note.touched + 1).returning(Note.tenant_id)
        )
        hammer.saw(mine, changed.all())


async def adds_and_deletes(hammer: Hammer, mine: str) -> None:
    async with hammer.database.session(tenant=mine) as session:
        note = Note(id=uuid.uuid4(), tenant_id=mine, touched=0)
        session.add(note)
        await session.flush()
        hammer.saw(mine, await _tenants(session))
        await session.delete(note)


async def writes_for_another(hammer: Hammer, mine: str) -> None:
    other = hammer.chance.choice([tenant for tenant in TENANTS if tenant != mine])
    async with hammer.database.session(tenant=mine) as session:
        session.add(Note(id=uuid.uuid4(), tenant_id=other, touched=0))
        await session.flush()
        hammer.counts["FOREIGN ROWS"] += 1


async def rolls_back_to_a_savepoint(hammer: Hammer, mine: str) -> None:
    async with hammer.database.session(tenant=mine) as session:
        try:
            async with session.begin_nested():
                await session.execute(text("SELECT 1/0"))
        except Exception:  # noqa: BLE001 - what matters comes afterwards
            pass
        async with session.begin_nested():
            hammer.saw(mine, await _tenants(session))
        hammer.saw(mine, await _tenants(session))


async def commits_in_the_middle(hammer: Hammer, mine: str) -> None:
    async with hammer.database.session(tenant=mine) as session:
        hammer.saw(mine, await _tenants(session))
        await session.commit()
        await asyncio.sleep(0)
        hammer.saw(mine, await _tenants(session))
        await session.rollback()
        hammer.saw(mine, await _tenants(session))


async def fails_in_the_application(hammer: Hammer, mine: str) -> None:
    async with hammer.database.session(tenant=mine) as session:
        hammer.saw(mine, await _tenants(session))
        raise _Planned


async def fails_in_the_database(hammer: Hammer, mine: str) -> None:
    async with hammer.database.session(tenant=mine) as session:
        hammer.saw(mine, await _tenants(session))
        await session.execute(text("SELECT 1/0"))


async def is_cancelled(hammer: Hammer, mine: str) -> None:
    async def slow() -> None:
        async with hammer.database.session(tenant=mine) as session:
            hammer.saw(mine, await _tenants(session))
            await session.execute(text("SELECT pg_sleep(0.01)"))
            hammer.saw(mine, await _tenants(session))

    await asyncio.wait_for(slow(), hammer.chance.random() * 0.02)


async def is_killed(hammer: Hammer, mine: str) -> None:
    async with hammer.database.session(tenant=mine) as session:
        hammer.saw(mine, await _tenants(session))
        await session.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
        await session.execute(text("SELECT 1"))


async def looks_as_nobody(hammer: Hammer, _mine: str) -> None:
    async with hammer.database.session(across_tenants=True) as session:
        hammer.saw(None, await _tenants(session))


async def looks_past_the_session(hammer: Hammer, _mine: str) -> None:
    async with hammer.database.engine.connect() as connection:
        across = await connection.execution_options(**{OPTION: Scope(across_tenants=True)})
        rows = await across.execute(select(Note))
        hammer.saw(None, [row.tenant_id for row in rows])


async def looks_past_sqlalchemy(hammer: Hammer, _mine: str) -> None:
    """A connection of the pool, the driver's own statement, outside of any transaction."""
    async with hammer.database.engine.connect() as connection:
        driver = await _driver_of(connection)
        hammer.saw(None, await _bare_tenants(driver))


async def looks_as_a_stranger(hammer: Hammer, _mine: str) -> None:
    """Another client of the same pooler, which knows nothing of tenants."""
    async with stranger(hammer.known) as driver:
        hammer.saw(None, await _bare_tenants(driver))


async def leaves_a_tenant_behind(hammer: Hammer, mine: str) -> None:
    """Another client that does what one may not: a tenant for the whole connection."""
    async with stranger(hammer.known) as driver:
        await driver.execute(f"SELECT set_config('app.current_tenant_id', '{mine}', false)")
        await asyncio.sleep(0)
        await looks_as_nobody(hammer, mine)
        await driver.execute("SELECT set_config('app.current_tenant_id', '', false)")


async def _driver_of(connection: AsyncConnection) -> Any:
    return (await connection.get_raw_connection()).driver_connection


async def _bare_tenants(driver: Any) -> list[str]:
    question = "SELECT tenant_id FROM hammer_notes"
    if isinstance(driver, asyncpg.Connection):
        return [row[0] for row in await driver.fetch(question)]
    await driver.set_autocommit(True)
    try:
        return [row[0] for row in await (await driver.execute(question)).fetchall()]
    finally:
        await driver.set_autocommit(False)


@asynccontextmanager
async def stranger(known: Settings) -> AsyncIterator[Any]:
    """Connect with the bare driver."""
    target = known.target
    more: dict[str, Any] = target.driver_arguments("stranger")
    place = {"host": target.host, "port": target.port, "user": target.user, "password": NASTY}
    if target.driver is Driver.ASYNCPG:
        more.pop("prepared_statement_cache_size", None)
        driver = await asyncpg.connect(**place, database=target.database, **more)
    else:
        driver = await psycopg.AsyncConnection.connect(
            **place, dbname=target.database, autocommit=True, **more
        )
    try:
        yield driver
    finally:
        await driver.close()


Act = Callable[[Hammer, str], Awaitable[None]]
WEIGHED: dict[Act, int] = {
    reads: 20,
    reads_raw: 10,
    gets: 10,
    loads_lazily: 10,
    writes: 5,
    adds_and_deletes: 5,
    writes_for_another: 5,
    rolls_back_to_a_savepoint: 5,
    commits_in_the_middle: 5,
    fails_in_the_application: 5,
    fails_in_the_database: 5,
    is_cancelled: 5,
    is_killed: 1,
    looks_as_nobody: 5,
    looks_past_the_session: 3,
    looks_past_sqlalchemy: 3,
    looks_as_a_stranger: 1,
}
ACTS, WEIGHTS = tuple(WEIGHED), tuple(WEIGHED.values())
