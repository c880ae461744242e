"""Sample data: loaded and removed as the application's own role, never in production (DEP-10)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from sqlalchemy import MetaData
from sqlalchemy.ext.asyncio import AsyncSession

from pgstead.app.engine import Database
from pgstead.app.environment import process_environment, settings
from pgstead.errors import UsageError

Work = Callable[[AsyncSession], Awaitable[Mapping[str, int]]]


def run(
    work: Work, metadata: MetaData, *, database: str, prefix: str, connection: Path | None = None
) -> Mapping[str, int]:
    """Do the work in one transaction; return how many rows of each table it touched."""
    known = settings(database, prefix, environ=process_environment(connection))
    if known.environment == "production":
        raise UsageError(
            f"{database} is in production: sample data is not for it",
            hint="the manifest's `environment` says what this stead is",
        )

    async def whole() -> Mapping[str, int]:
        opened = Database(known, metadata=metadata, program="sample data")
        try:
            async with opened.transaction() as session:
                return await work(session)
        finally:
            await opened.close()

    return asyncio.run(whole())
