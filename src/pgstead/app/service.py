"""An HTTP service on one database, put together: health, errors, keys, correlation, start and end.

def create_app(environ: Mapping[str, str] | None = None) -> FastAPI:
    service = Service("shop", Base.metadata, start=Path(__file__).parent)
    return service.create(router, environ)
"""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI
from sqlalchemy import MetaData

from pgstead.app import migrations, problems, role_guard, transactions
from pgstead.app.correlation import CorrelationMiddleware
from pgstead.app.dashboard.router import Dashboard
from pgstead.app.degraded import GoodAnswers
from pgstead.app.engine import Database
from pgstead.app.environment import Settings, settings
from pgstead.app.health import LOOPBACK, Health, Network
from pgstead.app.last_resort import LastResortMiddleware
from pgstead.app.resilience import ResilienceMiddleware
from pgstead.app.routing import add_routes
from pgstead.app.telemetry.watching import Watching

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Service:
    """What a service says about itself; the rest follows from the name of its database.

    Args:
        database: its name in the manifest.
        metadata: of its models.
        start: the application's folder: its connection file is looked for from there upwards.
        title: what the OpenAPI page calls it; else the database's name.
        version: what `/health` tells.
        prefix: of its environment variables; else the database's name in capitals.
        heads: revisions that it was built for; else those of `migrations` in its folder.
    """

    database: str
    metadata: MetaData
    start: Path
    title: str = ""
    version: str = "0"
    prefix: str = ""
    heads: tuple[str, ...] | None = None

    def create(self, routes: APIRouter, environ: Mapping[str, str] | None = None) -> FastAPI:
        """Make the application around its routes. Reads all files now, connects at the start."""
        title = self.title or self.database
        prefix = self.prefix or f"{self.database.upper()}_"
        known = settings(self.database, prefix, environ=environ, start=self.start)
        watching = Watching.of(known, self.version)
        program = f"{title} api"
        database = Database(known, metadata=self.metadata, program=program, meter=watching.meter())
        watching.trace(database)
        health = Health(database, self._heads(), self.version, watching, _networks(known))
        app = FastAPI(title=title, version=self.version, lifespan=_lifespan(database, health))
        setattr(app.state, transactions.STATE, database)
        app.add_middleware(ResilienceMiddleware, database=database, answers=GoodAnswers())
        app.add_middleware(LastResortMiddleware)
        app.add_middleware(CorrelationMiddleware)  # the last one added is the outermost
        problems.install(app)
        pages = Dashboard(health).router()
        add_routes(app.router, health.router(), watching.router(health.trusts), pages, routes)
        _describe_problems(app)
        return app

    def _heads(self) -> tuple[str, ...]:
        folder = self.start / "migrations"
        if self.heads is not None or not folder.is_dir():
            return self.heads or ()
        return migrations.heads(folder)


def _networks(known: Settings) -> tuple[Network, ...]:
    """Return who may see more than the status."""
    told = known.file.watched.networks if known.file is not None else ()
    return (*LOOPBACK, *(ipaddress.ip_network(network) for network in told))


def _lifespan(database: Database, health: Health) -> Any:
    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncGenerator[None]:
        try:
            await _greet(health)
            yield
        finally:
            await health.close()
            await database.close()
            await health.watching.flush()

    return lifespan


async def _greet(health: Health) -> None:
    """Say at the start whether the database is there; a privileged role is refused at once.

    Without its database the service starts all the same: it answers 503 with the reason, and is
    there when the database comes.
    """
    facts = await health.probe()
    name = health.database.settings.name
    if facts.unbound:
        raise role_guard.refusal(facts.unbound)
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
