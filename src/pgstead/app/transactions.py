"""The session of a request: committed before the answer is sent, rolled back on any failure."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncSession

from pgstead.app import commits
from pgstead.app.engine import Database

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})  # RFC 9110, 9.2.1: they change nothing

STATE = "database"  # where an application keeps its Database: `app.state.database`


async def transaction(request: Request) -> AsyncGenerator[AsyncSession]:
    """Yield the request's session; what fails at COMMIT fails the request.

    A COMMIT whose answer is lost is resolved, which costs a write one round trip. A read changes
    nothing, and pays nothing.
    """
    database = getattr(request.app.state, STATE)
    assert isinstance(database, Database)
    opened = database.transaction()
    if request.method not in SAFE:
        opened = commits.certain(database.engine, opened)
    async with opened as session:
        yield session


# `scope="function"` ends the dependency when the route has returned, before the answer is sent.
# FastAPI's default ends it afterwards, when a 200 cannot be taken back any more.
Session = Annotated[AsyncSession, Depends(transaction, scope="function")]
