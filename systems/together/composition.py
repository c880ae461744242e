"""How services of the systems are put together: further databases, one inside another."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from pgstead.app import transactions
from pgstead.app.connection import VARIABLE
from pgstead.app.engine import Database

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[Any]]


def database_of(app: FastAPI) -> Database:
    """Return the database that a service was made for."""
    database: object = getattr(app.state, transactions.STATE)
    assert isinstance(database, Database)
    return database


def during(app: FastAPI, *others: Lifespan) -> None:
    """Let other contexts live as long as an application does."""
    own: Lifespan = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(running: FastAPI) -> AsyncGenerator[None]:
        async with AsyncExitStack() as stack:
            for context in (*others, own):
                await stack.enter_async_context(context(running))
            yield

    app.router.lifespan_context = lifespan


def closing(database: Database) -> Lifespan:
    """Return a context that closes a database at its end."""

    @asynccontextmanager
    async def context(_app: FastAPI) -> AsyncGenerator[None]:
        try:
            yield
        finally:
            await database.close()

    return context


def mount(app: FastAPI, path: str, guest: FastAPI) -> None:
    """Serve another service below a path; it starts and ends with its host."""

    @asynccontextmanager
    async def context(_app: FastAPI) -> AsyncGenerator[None]:
        async with guest.router.lifespan_context(guest):
            yield

    during(app, context)
    app.mount(path, guest)


def environment_of(database: str, environ: Mapping[str, str]) -> Mapping[str, str]:
    """Return the environment for another database of the same stead: its own connection file."""
    named = environ.get(VARIABLE)
    if not named:
        return environ
    return {**environ, VARIABLE: str(Path(named).with_name(f"{database}.json"))}
