"""What a test does through the engine, in one transaction."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, TypeVar

from sqlalchemy import CursorResult, text
from sqlalchemy.ext.asyncio import AsyncSession

from pgstead.app.connection import Figures, read
from pgstead.app.engine import Database
from pgstead.app.environment import Settings
from pgstead.app.target import Driver, Target
from systems.jeex_idea.models import Base
from tests.live.scratch import Scratch

Result = TypeVar("Result")
Work = Callable[[AsyncSession], Awaitable[Result]]


def settings(scratch: Scratch, driver: Driver, **changed: Any) -> Settings:
    """Return what an application of jeex_idea would be told."""
    file = read(scratch.connection)
    target = Target.from_file(file, driver=driver, door="direct")
    known = Settings("jeex_idea", "test", target, Figures(2, 1, 5.0, 840), echo=False, file=file)
    return replace(known, **changed)


@asynccontextmanager
async def opened(known: Settings) -> AsyncIterator[Database]:
    """Open a database and close it."""
    database = Database(known, metadata=Base.metadata, program="tests")
    try:
        yield database
    finally:
        await database.close()


def work(known: Settings, what: Work[Result]) -> Result:
    """Do something in one transaction."""

    async def whole() -> Result:
        async with opened(known) as database, database.session(across_tenants=True) as session:
            return await what(session)

    return asyncio.run(whole())


def execute(known: Settings, *statements: str, **values: object) -> Any:
    """Execute statements in one transaction and return what the last one answers."""

    async def whole(session: AsyncSession) -> Any:
        done = None
        for statement in statements:
            done = await session.execute(text(statement), values)
        return done.first() if isinstance(done, CursorResult) and done.returns_rows else None

    return work(known, whole)


USER = "SELECT sign_up(:email)"  # who signs up asks from now on

# In functions, which the guard does not look into: these tests are of what the server refuses.
FUNCTIONS = """
CREATE FUNCTION act_as(who uuid) RETURNS uuid
  RETURN set_config('app.current_user_id', who::text, true)::uuid;
CREATE FUNCTION sign_up(email text, name text DEFAULT 'A') RETURNS void LANGUAGE plpgsql
  AS $$ BEGIN INSERT INTO users (id, email, name) VALUES (act_as(uuid_v7()), email, name); END $$;
GRANT EXECUTE ON FUNCTION act_as(uuid), sign_up(text, text) TO jeex_idea_app
"""


def address() -> str:
    """Return an address that nobody has."""
    return f"{uuid.uuid4()}@example.com"
