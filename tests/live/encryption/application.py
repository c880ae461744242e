"""An application in a process of its own: writes and reads accounts until it is told to stop.

    application.py CONNECTION KEYFILE SECONDS

It prints one JSON object at its end: what it wrote and committed, and every error that it met.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
import uuid
from pathlib import Path
from typing import Any

from sqlalchemy import select

from pgstead.app.connection import Figures, read
from pgstead.app.encryption import Encrypted, FileSource, Keys, attach, blind_match
from pgstead.app.engine import Database
from pgstead.app.environment import Settings
from pgstead.app.target import Driver, Target
from tests.live.encryption.vault import Account, Base


async def one(database: Database, keys: Keys, written: dict[str, str], number: int) -> None:
    """Write a row, change another, read a third, look a fourth up."""
    plain = f"app-{uuid.uuid4()}"
    async with database.transaction() as session:
        account = Account(
            tenant_id="load", api_key=Encrypted(plain), email=Encrypted(f"{plain}@x.org")
        )
        session.add(account)
        await session.flush()
        key = str(account.id)
    written[key] = plain
    other = list(written)[number % len(written)]
    async with database.transaction() as session:
        found = await session.get_one(Account, uuid.UUID(other), with_for_update=True)
        assert found.api_key.reveal() == written[other]
        changed = f"{written[other]}+"
        found.api_key = Encrypted(changed)
    written[other] = changed
    async with database.transaction() as session:
        condition = blind_match(Account.email, f"{plain}@x.org", keys, tenant="load")
        assert (await session.scalars(select(Account.id).where(condition))).one() == uuid.UUID(key)


async def main(connection: Path, keyfile: Path, seconds: float) -> dict[str, Any]:
    """Work until the time is up."""
    file = read(connection)
    target = Target.from_file(file, driver=Driver.ASYNCPG, door="direct")
    known = Settings("jeex_idea", "test", target, Figures(4, 0, 10.0, 840), echo=False, file=file)
    keys = Keys(FileSource(keyfile))
    database = Database(known, metadata=Base.metadata, program="application")
    attach(database.sessions, keys)
    written: dict[str, str] = {}
    errors: list[str] = []
    until, number = time.monotonic() + seconds, 0
    print("ready", flush=True)
    while time.monotonic() < until:
        number += 1
        try:
            await one(database, keys, written, number)
        except Exception as error:  # noqa: BLE001 - every one is a finding
            errors.append(f"{type(error).__name__}: {error}")
    await database.close()
    return {"written": written, "errors": errors, "rounds": number}


if __name__ == "__main__":
    given = sys.argv[1:]
    print(json.dumps(asyncio.run(main(Path(given[0]), Path(given[1]), float(given[2])))))
