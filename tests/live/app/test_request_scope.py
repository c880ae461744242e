"""A request's session: whose it is, and that it is committed before the answer is sent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated, Any

import httpx
import pytest
from fastapi import FastAPI, Header, HTTPException
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from pgstead.app import problems, transactions
from pgstead.app.correlation import CorrelationMiddleware
from pgstead.app.engine import Database
from pgstead.app.scope import Scope
from pgstead.app.target import Driver
from tests.live.app import hammer
from tests.live.app.hammer import Note
from tests.live.app.work import settings
from tests.live.scratch import Scratch

KEYS = {"key-of-0": "tenant-00", "key-of-1": "tenant-01"}


async def whose(x_api_key: Annotated[str, Header()] = "") -> Scope:
    """Authenticate: the tenant comes from the key, from nothing else that is sent."""
    if x_api_key not in KEYS:
        raise HTTPException(401)
    return Scope(tenant=KEYS[x_api_key])


TenantSession = Annotated[AsyncSession, transactions.scoped(whose)]


def application(database: Database) -> FastAPI:
    app = FastAPI()
    app.state.database = database
    app.add_middleware(CorrelationMiddleware)
    problems.install(app)

    @app.get("/notes")
    async def notes(session: TenantSession) -> dict[str, Any]:
        told = await session.scalar(text("SELECT current_setting('app.correlation_id')"))
        tenants = (await session.scalars(select(Note.tenant_id))).all()
        return {"tenants": sorted(set(tenants)), "correlation_id": told}

    @app.get("/count")
    async def count(session: transactions.Session) -> int:
        return await session.scalar(select(func.count()).select_from(Note)) or 0

    @app.post("/late")
    async def late(session: TenantSession) -> str:
        """Violate what is checked at COMMIT."""
        await session.execute(text("INSERT INTO late_children VALUES (1, 99)"))
        return "done"

    return app


@pytest.fixture
def ask(scratch: Scratch, driver: Driver) -> Callable[..., httpx.Response]:
    """Give what sends one request to the application."""
    hammer.prepare(scratch)

    def send(method: str, path: str, **headers: str) -> httpx.Response:
        async def whole() -> httpx.Response:
            database = Database(settings(scratch, driver), metadata=hammer.Base.metadata)
            transport = httpx.ASGITransport(app=application(database))
            try:
                async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
                    return await client.request(method, path, headers=headers)
            finally:
                assert database.pool().in_use == 0
                await database.close()

        return asyncio.run(whole())

    return send


def test_a_request_sees_the_rows_of_whoever_sent_it(ask: Any) -> None:
    named = {"X-Correlation-ID": "c-1"}
    answer = ask("GET", "/notes", **{"X-API-Key": "key-of-1"}, **named).json()
    assert answer == {"tenants": ["tenant-01"], "correlation_id": "c-1"}


def test_who_is_nobody_gets_no_session(ask: Any) -> None:
    assert ask("GET", "/notes").status_code == 401
    assert ask("GET", "/notes", **{"X-Tenant-ID": "tenant-00"}).status_code == 401


def test_a_route_that_forgot_the_tenant_fails_and_does_not_answer_with_nothing(ask: Any) -> None:
    answer = ask("GET", "/count")
    assert answer.status_code == 500
    assert answer.json()["type"] == "urn:pgstead:problem:unscoped"
    assert "hammer_notes" in answer.json()["detail"]


def test_what_fails_at_commit_fails_the_request(ask: Any, scratch: Scratch) -> None:
    with scratch.admin("jeex_idea") as admin:
        admin.execute(
            """
            CREATE TABLE late_parents (id int PRIMARY KEY);
            CREATE TABLE late_children (id int, parent int CONSTRAINT late_fkey
              REFERENCES late_parents DEFERRABLE INITIALLY DEFERRED);
            GRANT ALL ON late_children TO jeex_idea_app
            """
        )
        try:
            answer = ask("POST", "/late", **{"X-API-Key": "key-of-0"})
        finally:
            admin.execute("DROP TABLE late_children, late_parents")
    assert answer.status_code == 422
    assert answer.json()["constraint"] == "late_fkey"
