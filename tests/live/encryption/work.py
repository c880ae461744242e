"""What a test does with the vault, in one transaction each."""

from __future__ import annotations

import asyncio
import secrets
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import pytest
from psycopg import sql
from sqlalchemy.ext.asyncio import AsyncSession

from pgstead.app.encryption import Encrypted, Keys, attach
from pgstead.app.engine import Database
from pgstead.app.target import Driver
from tests.live.app.work import settings
from tests.live.encryption.vault import Account, Base
from tests.live.scratch import Scratch

Result = TypeVar("Result")


@asynccontextmanager
async def opened(
    vault: Scratch, keys: Keys | None, driver: Driver = Driver.ASYNCPG
) -> AsyncIterator[Database]:
    """Open the database as an application with these keys."""
    database = Database(settings(vault, driver), metadata=Base.metadata, program="vault")
    if keys is not None:
        attach(database.sessions, keys)
    try:
        yield database
    finally:
        await database.close()


def work(
    vault: Scratch,
    keys: Keys | None,
    what: Callable[[AsyncSession], Awaitable[Result]],
    driver: Driver = Driver.ASYNCPG,
) -> Result:
    """Do something in one transaction."""

    async def whole() -> Result:
        async with opened(vault, keys, driver) as database, database.transaction() as session:
            return await what(session)

    return asyncio.run(whole())


def stored(vault: Scratch, table: str, column: str, key: Any) -> Any:
    """Return what the table holds, as the superuser sees it."""
    query = sql.SQL("SELECT {} FROM {} WHERE id = %s")
    with vault.admin("jeex_idea") as admin:
        named = query.format(sql.Identifier(column), sql.Identifier(table))
        row = admin.execute(named, [key]).fetchone()
        assert row is not None
        return row[0]


def store(vault: Scratch, table: str, column: str, key: Any, value: Any) -> None:
    """Write past the library, as the superuser."""
    change = sql.SQL("UPDATE {} SET {} = %s WHERE id = %s")
    with vault.admin("jeex_idea") as admin:
        named = change.format(sql.Identifier(table), sql.Identifier(column))
        assert admin.execute(named, [value, key]).rowcount == 1


both_drivers = pytest.mark.parametrize("driver", list(Driver), indirect=True)


def word() -> str:
    """Return a plaintext that nobody else writes."""
    return f"clear-{secrets.token_hex(12)}"


def made(vault: Scratch, keys: Keys, plain: str, **given: Any) -> uuid.UUID:
    """Insert an account and return its key."""

    async def add(session: AsyncSession) -> uuid.UUID:
        account = Account(**{"tenant_id": "acme", "api_key": Encrypted(plain), **given})
        session.add(account)
        await session.flush()
        return account.id

    return work(vault, keys, add)
