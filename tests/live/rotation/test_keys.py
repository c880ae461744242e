"""The keys of encrypted columns are changed while 100 clients write and read them."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pgstead.app.connection import Figures, read
from pgstead.app.encryption import Encrypted, FileSource, Keys, attach
from pgstead.app.engine import Database
from pgstead.app.environment import Settings
from pgstead.app.target import Driver, Target
from tests.fix_stead import CHECKOUT, LiveStead, short_directory, stead_in
from tests.live.encryption.vault import Account, Base
from tests.sabotage.test_encryption import VAULT, fill

pytestmark = pytest.mark.soak
CLIENTS = 100


@pytest.fixture(scope="module")
def vaulted() -> Iterator[LiveStead]:
    """Give a stead with an application that encrypts."""
    directory = short_directory()
    (directory / "tests").symlink_to(CHECKOUT / "tests")
    with stead_in(directory, extra=VAULT) as stead:
        stead.run("up")
        fill(stead)
        yield stead


@dataclass
class Work:
    """What the clients did and met."""

    done: int = 0
    errors: list[str] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)


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


async def _all(work: Work, stead: LiveStead) -> None:
    file = read(stead.state / "connections" / "vault.json")
    opened: list[Database] = []
    async with asyncio.TaskGroup() as group:
        for driver in Driver:
            for door in ("direct", "pooler"):
                target = Target.from_file(file, door=door, driver=driver)
                known = Settings(
                    "vault", "test", target, Figures(6, 0, 60.0, 840), echo=False, file=file
                )
                database = Database(known, metadata=Base.metadata, program="vault")
                attach(database.sessions, Keys(FileSource(stead.state / "keys" / "vault.json")))
                opened.append(database)
                for number in range(CLIENTS // 4):
                    group.create_task(_client(work, database, number))
    for database in opened:
        await database.close()


def versions(path: Path) -> list[str]:
    return list(json.loads(path.read_text())["values"])


def test_column_keys_change_under_load_and_the_old_ones_are_gone(vaulted: LiveStead) -> None:
    work, keys = Work(), vaulted.state / "keys" / "vault.json"
    assert versions(keys) == ["1"]
    thread = threading.Thread(target=lambda: asyncio.run(_all(work, vaulted)))
    thread.start()
    try:
        (told,) = vaulted.json("rotate", "keys", "vault")["databases"]
        assert told["version"] == 2
        (told,) = vaulted.json("rotate", "keys", "vault", "--retire")["databases"]
    finally:
        work.ended.set()
        thread.join(120)
    assert work.errors == []
    assert work.done > CLIENTS
    assert versions(keys) == ["3"]
    assert told["retired"] == [1, 2]
    assert '"version": 3' in vaulted.run("keys", "status", "vault", "--json").stdout
