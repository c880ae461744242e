"""Clients that write and read encrypted columns while keys are changed, by both doors."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from sqlalchemy import select

from pgstead.app.connection import Figures, read
from pgstead.app.encryption import Encrypted, FileSource, Keys, Source, attach
from pgstead.app.engine import Database
from pgstead.app.environment import Settings
from pgstead.app.target import Driver, Target
from tests.fix_stead import LiveStead
from tests.live.encryption.vault import Account, Base

Door = Literal["direct", "pooler"]
DOORS: tuple[Door, ...] = ("direct", "pooler")


@dataclass
class Work:
    """What the clients did and met."""

    done: int = 0
    errors: list[str] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)


def opened(stead: LiveStead, door: Door, driver: Driver, source: Source | None = None) -> Database:
    """Return the vault as an application has it, with the stead's keys or with others."""
    file = read(stead.state / "connections" / "vault.json")
    target = Target.from_file(file, door=door, driver=driver)
    known = Settings("vault", "test", target, Figures(6, 0, 60.0, 840), echo=False, file=file)
    database = Database(known, metadata=Base.metadata, program="vault")
    ring = source or FileSource(stead.state / "keys" / "vault.json")
    attach(database.sessions, Keys(ring))
    return database


async def _client(work: Work, database: Database, number: int) -> None:
    while not work.ended.is_set():
        try:
            async with database.session() as session:
                made = Account(tenant_id=f"t{number}", api_key=Encrypted(f"secret {number}"))
                session.add(made)
                await session.flush()
                key = made.id
            async with database.session() as session:
                found = await session.get_one(Account, key)
                assert found.api_key.reveal() == f"secret {number}"
                await session.delete(found)
            work.done += 1
        except Exception as error:  # noqa: BLE001 - whatever a client meets is counted
            work.errors.append(f"{type(error).__name__}: {error}")
        await asyncio.sleep(0.2)


async def _all(work: Work, stead: LiveStead, clients: int) -> None:
    places = [opened(stead, door, driver) for driver in Driver for door in DOORS]
    async with asyncio.TaskGroup() as group:
        for number in range(clients):
            group.create_task(_client(work, places[number % len(places)], number))
    for database in places:
        await database.close()


@contextmanager
def sealing(stead: LiveStead, clients: int) -> Iterator[Work]:
    """Let clients work as long as the block lasts; whatever they met is in what it gives."""
    work = Work()
    thread = threading.Thread(target=lambda: asyncio.run(_all(work, stead, clients)))
    thread.start()
    try:
        yield work
    finally:
        work.ended.set()
        thread.join(120)
    assert not thread.is_alive()


def put(stead: LiveStead, rows: int) -> None:
    """Store that many accounts; each holds its own number."""

    async def write() -> None:
        database = opened(stead, "direct", Driver.ASYNCPG)
        async with database.transaction() as session:
            session.add_all(
                Account(tenant_id="kept", api_key=Encrypted(f"kept {number}"))
                for number in range(rows)
            )
        await database.close()

    asyncio.run(write())


def kept(stead: LiveStead, source: Source | None = None) -> list[str]:
    """Return what `put` stored, opened by the stead's keys or by others."""

    async def look() -> list[str]:
        database = opened(stead, "direct", Driver.ASYNCPG, source)
        try:
            async with database.session() as session:
                query = select(Account).where(Account.tenant_id == "kept")
                return sorted([row.api_key.reveal() for row in await session.scalars(query)])
        finally:  # there may be no key
            await database.close()

    return asyncio.run(look())
