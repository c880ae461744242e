"""The session of a request: committed before the answer is sent, rolled back on any failure.

For tables of tenants the application says whose request it is, and how it knows:

    async def whose(key: Annotated[str, Header(alias="X-API-Key")]) -> Scope:
        return Scope(tenant=await tenant_of(key))  # raises 401 where the key is nobody's

    TenantSession = Annotated[AsyncSession, scoped(whose)]

    @app.get("/documents")
    async def documents(session: TenantSession) -> ...:
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Annotated, Any

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncSession

from pgstead.app import commits
from pgstead.app.engine import Database
from pgstead.app.scope import NOBODY, Scope

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})  # RFC 9110, 9.2.1: they change nothing
STATE = "database"  # where an application keeps its Database: `app.state.database`


def database_of(request: Request) -> Database:
    """Return the database of the application that serves a request."""
    database = getattr(request.app.state, STATE)
    assert isinstance(database, Database)
    return database


async def transaction(request: Request) -> AsyncGenerator[AsyncSession]:
    """Yield the request's session, of nobody; what fails at COMMIT fails the request."""
    async with opened(request, NOBODY) as session:
        yield session


def opened(
    request: Request, scope: Scope, database: Database | None = None
) -> AbstractAsyncContextManager[AsyncSession]:
    """Return a request's transaction, on the application's database where no other is given.

    A COMMIT whose answer is lost is resolved, which costs a write one round trip. A read changes
    nothing, and pays nothing.
    """
    database = database or database_of(request)
    plain = database.session(scope=scope)
    return plain if request.method in SAFE else commits.certain(database.engine, plain)


def scoped(whose: Callable[..., Scope | Awaitable[Scope]]) -> Any:
    """Return a dependency: the request's session, in the scope that another dependency returns.

    `whose` authenticates. A tenant that it takes from what anybody can send is anybody's.
    """

    async def in_scope(
        request: Request, scope: Annotated[Scope, Depends(whose)]
    ) -> AsyncGenerator[AsyncSession]:
        async with opened(request, scope) as session:
            yield session

    # without this FastAPI would look for the names of the annotations in this module only
    in_scope.__annotations__ = {"request": Request, "scope": Annotated[Scope, Depends(whose)]}
    return Depends(in_scope, scope="function")


# `scope="function"` ends the dependency when the route has returned, before the answer is sent.
# FastAPI's default ends it afterwards, when a 200 cannot be taken back any more.
Session = Annotated[AsyncSession, Depends(transaction, scope="function")]
