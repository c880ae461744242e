"""An HTTP service on one database, put together: health, errors, correlation, start and end."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI
from sqlalchemy import MetaData

from pgstead.app import problems, transactions
from pgstead.app.correlation import CorrelationMiddleware
from pgstead.app.degraded import GoodAnswers
from pgstead.app.engine import Database
from pgstead.app.environment import settings
from pgstead.app.health import Health
from pgstead.app.last_resort import LastResortMiddleware
from pgstead.app.resilience import ResilienceMiddleware
from pgstead.app.role_guard import PrivilegedRoleError
from pgstead.app.routing import add_routes

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Service:
    """What a system says about itself."""

    title: str
    version: str
    database: str
    prefix: str  # of environment variables
    metadata: MetaData
    heads: tuple[str, ...]  # revisions that it was built for
    start: Path  # from where on upwards its connection file is looked for

    def create(self, routes: APIRouter, environ: Mapping[str, str] | None = None) -> FastAPI:
        """Make the application around its routes. Reads all files now, connects at the start."""
        known = settings(
            self.database,
            self.prefix,
            environ=environ,
            start=self.start,
        )
        database = Database(known, metadata=self.metadata, program=f"{self.title} api")
        health = Health(database, self.heads, self.version)
        app = FastAPI(title=self.title, version=self.version, lifespan=_lifespan(database, health))
        setattr(app.state, transactions.STATE, database)
        app.add_middleware(ResilienceMiddleware, database=database, answers=GoodAnswers())
        app.add_middleware(LastResortMiddleware)
        app.add_middleware(CorrelationMiddleware)  # the last one added is the outermost
        problems.install(app)
        add_routes(app.router, health.router(), routes)
        _describe_problems(app)
        return app


def _lifespan(database: Database, health: Health) -> Any:
    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncGenerator[None]:
        try:
            await _greet(health)
            yield
        finally:
            await health.close()
            await database.close()

    return lifespan


async def _greet(health: Health) -> None:
    """Say at the start whether the database is there; a privileged role is refused at once.

    Without its database the service starts all the same: it answers 503 with the reason, and is
    there when the database comes.
    """
    facts = await health.probe()
    name = health.database.settings.name
    if facts.privileged:
        raise PrivilegedRoleError(
            f"the application connects to {name!r} as a role that grants do not bind",
            hint="connect as the application's own role; migrations run as the migrator",
        )
    if objection := health.objection(facts):
        _log.error("not ready: %s", objection)
    else:
        _log.info("connected to %s, PostgreSQL %s", name, facts.version)


def _describe_problems(app: FastAPI) -> None:
    """Put the form of errors into the OpenAPI document."""
    make = app.openapi

    def openapi() -> dict[str, Any]:
        document = make()
        document.setdefault("components", {}).setdefault("schemas", {})["Problem"] = problems.SCHEMA
        return document

    app.openapi = openapi
