"""Clients that work while credentials are rotated: both drivers, both doors, 25 of each."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from sqlalchemy import text

from pgstead.app import Database
from pgstead.app.environment import Settings, settings_of_manifest
from pgstead.app.target import Driver, Target

Way = Literal["pooler", "direct"]
DOORS: tuple[Way, ...] = ("direct", "pooler")
CLIENTS = 100
# a transaction that is given a number, so that its COMMIT is written to the WAL
_WORK = text("SELECT session_user, current_user, pg_current_xact_id()::text")


@dataclass
class Load:
    """What the clients saw."""

    done: Counter[str] = field(default_factory=Counter)
    users: set[str] = field(default_factory=set)  # as whom they logged in
    acting: set[str] = field(default_factory=set)  # as whom they worked
    errors: list[str] = field(default_factory=list)
    slowest: float = 0.0
    began: float = field(default_factory=time.monotonic)
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def age(self) -> float:
        """How many seconds the clients have been at it."""
        return time.monotonic() - self.began

    @property
    def total(self) -> int:
        """How many transactions were committed."""
        return sum(self.done.values())

    def grows(self, by: int = 200, seconds: float = 240) -> None:
        """Wait until that many more transactions are done."""
        wanted, end = self.total + by, time.monotonic() + seconds
        while self.total < wanted:
            assert time.monotonic() < end, (self.done, self.errors[:5])
            time.sleep(0.05)


def settings_at(manifest: Path, door: Way, driver: Driver, *, size: int) -> Settings:
    """Return what an application is told, for one door, with connections that live two seconds."""
    known = settings_of_manifest(manifest, "jeex_idea", driver=driver)
    assert known.file is not None
    target = Target.from_file(known.file, door=door, driver=driver)
    figures = replace(known.figures, size=size, max_overflow=0, timeout=300, recycle=2)
    return replace(known, target=target, figures=figures)


async def _client(load: Load, database: Database, name: str) -> None:
    while not load.ended.is_set():
        began = time.monotonic()
        try:
            async with database.session() as session:
                user, acting, _ = (await session.execute(_WORK)).one()
            load.users.add(user)
            load.acting.add(acting)
            load.done[name] += 1
        except Exception as error:  # noqa: BLE001 - whatever a client meets is counted
            load.errors.append(f"{load.age:.1f} s: {name}: {type(error).__name__}: {error}")
        load.slowest = max(load.slowest, time.monotonic() - began)
        await asyncio.sleep(0.05)


async def _all(load: Load, manifest: Path, doors: tuple[Way, ...], clients: int) -> None:
    pairs: list[tuple[Way, Driver]] = [(door, driver) for door in doors for driver in Driver]
    share = clients // len(pairs)
    opened: list[Database] = []
    try:
        async with asyncio.TaskGroup() as group:
            for door, driver in pairs:
                known = settings_at(manifest, door, driver, size=min(8, share))
                database = Database(known, program=f"load {door} {driver}")
                opened.append(database)
                for _ in range(share):
                    group.create_task(_client(load, database, f"{door} {driver}"))
    finally:
        for database in opened:
            await database.close()


@contextmanager
def working(
    manifest: Path, *, doors: tuple[Way, ...] = DOORS, clients: int = CLIENTS
) -> Iterator[Load]:
    """Let clients work as long as the block lasts."""
    load = Load()
    failed: list[BaseException] = []

    def run() -> None:
        try:
            asyncio.run(_all(load, manifest, doors, clients))
        except BaseException as error:  # noqa: BLE001 - told by the test's own thread
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        load.grows()
        yield load
        load.grows()
    finally:
        load.ended.set()
        thread.join(300)
    assert not failed, failed
    assert not thread.is_alive()
