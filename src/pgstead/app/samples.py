"""Sample data: loaded and removed as the application's own role, never in production (DEP-10)."""

from __future__ import annotations

import asyncio
import datetime as dt
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from sqlalchemy import MetaData
from sqlalchemy.ext.asyncio import AsyncSession

from pgstead.app.encryption import attach, keys_of
from pgstead.app.encryption.sources import find
from pgstead.app.engine import Database
from pgstead.app.environment import Settings, process_environment, settings
from pgstead.app.rows import Row
from pgstead.app.scope import Scope
from pgstead.app.target import Target
from pgstead.errors import UsageError

Work = Callable[[AsyncSession], Awaitable[Mapping[str, int]]]
Change = Callable[[AsyncSession, Sequence[Row]], Awaitable[Mapping[str, int]]]


def run(
    work: Work, metadata: MetaData, *, database: str, prefix: str, connection: Path | None = None
) -> Mapping[str, int]:
    """Do the work in one transaction; return how many rows of each table it touched."""
    known = settings(database, prefix, environ=process_environment(connection))
    refuse_production(known)

    async def whole() -> Mapping[str, int]:
        opened = Database(known, metadata=metadata, program="sample data")
        try:
            async with opened.transaction() as session:
                return await work(session)
        finally:
            await opened.close()

    return asyncio.run(whole())


def run_scoped(
    works: Sequence[tuple[Scope, Work]],
    metadata: MetaData,
    *,
    database: str,
    prefix: str,
    connection: Path | None = None,
    role: str = "app",
) -> Mapping[str, int]:
    """Do each piece of work as its tenant or user, in a transaction of its own, in this order.

    `role` is another one of the connection file, which then comes by the direct door. Encrypted
    columns are written with the keys of the database, where it has any.
    """
    environ = process_environment(connection)
    known = settings(database, prefix, environ=environ)
    refuse_production(known)
    if role != "app" and known.file is not None:
        known = replace(known, target=Target.from_file(known.file, role=role, door="direct"))

    async def whole() -> Mapping[str, int]:
        opened = Database(known, metadata=metadata, program="sample data")
        if find(prefix, environ, known.file) is not None:
            attach(opened.sessions, keys_of(prefix, environ, known.file))
        done: Counter[str] = Counter()
        try:
            for scope, work in works:
                async with opened.session(scope=scope) as session:
                    done.update(await work(session))
        finally:
            await opened.close()
        return done

    return asyncio.run(whole())


def refuse_production(known: Settings) -> None:
    """Raise UsageError where sample data has no place (DEP-10)."""
    if known.environment == "production":
        raise UsageError(
            f"{known.name} is in production: sample data is not for it",
            hint="the manifest's `environment` says what this stead is",
        )


async def add_missing(session: AsyncSession, rows: Sequence[Row]) -> Mapping[str, int]:
    """Add the rows that are not there yet; count them by table."""
    done: Counter[str] = Counter()
    for row in rows:
        table = str(type(row).__dict__["__tablename__"])
        done[table] += 0
        if await session.get(type(row), row.id) is None:
            session.add(row)
            await session.flush()
            done[table] += 1
    return done


async def remove_present(session: AsyncSession, rows: Sequence[Row]) -> Mapping[str, int]:
    """Delete the rows that are there, the last one first; count them by table."""
    done: Counter[str] = Counter()
    for row in reversed(rows):
        table = str(type(row).__dict__["__tablename__"])
        done[table] += 0
        found = await session.get(type(row), row.id)
        if found is not None:
            await session.delete(found)
            await session.flush()
            done[table] += 1
    return done


def sample_key(*name: object, then: dt.datetime) -> uuid.UUID:
    """Return the same UUID of version 7 for the same name, every time."""
    digest = uuid.uuid5(uuid.NAMESPACE_DNS, ".".join(map(str, name)) + ".sample.invalid").int
    stamp = int(then.timestamp() * 1000) << 80
    return uuid.UUID(int=stamp | 0x7 << 76 | digest & (0xFFF << 64) | digest & ((1 << 64) - 1))
