"""The HTTP service of ai_agents."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from fastapi import APIRouter, FastAPI

from pgstead.app import migrations
from pgstead.app.engine import Database
from pgstead.app.environment import process_environment
from pgstead.app.problems import RESPONSES
from pgstead.app.routing import add_routes
from pgstead.app.service import Service
from pgstead.app.target import Target
from pgstead.errors import UsageError
from systems.ai_agents.identity import STATE, Operator
from systems.ai_agents.models import Base
from systems.ai_agents.routes import operator, tenant
from systems.together import composition

DATABASE = "ai_agents"
PREFIX = "AI_AGENTS_"
HERE = Path(__file__).resolve().parent
OPERATOR_KEY = f"{PREFIX}OPERATOR_KEY_SHA256"


def router() -> APIRouter:
    """Return the routes, to be mounted where a service wants them."""
    routes = APIRouter(responses=RESPONSES)
    add_routes(routes, tenant.router, operator.router)
    return routes


def create_app(environ: Mapping[str, str] | None = None) -> FastAPI:
    """Make the application; its database comes from the environment or the connection file."""
    variables = process_environment() if environ is None else environ
    service = Service(
        title="ai_agents",
        version=importlib.metadata.version("pgstead"),
        database=DATABASE,
        prefix=PREFIX,
        metadata=Base.metadata,
        heads=migrations.heads(HERE / "migrations"),
        start=HERE,
    )
    app = service.create(router(), variables)
    database = composition.database_of(app)
    if (digest := _digest(variables)) is not None:
        administrator = _administrator(database)
        setattr(app.state, STATE, Operator(digest, administrator))
        composition.during(app, composition.closing(administrator))
    return app


def _digest(environ: Mapping[str, str]) -> bytes | None:
    text = environ.get(OPERATOR_KEY)
    if not text:
        return None
    try:
        digest = bytes.fromhex(text)
    except ValueError:
        digest = b""
    if len(digest) != 32:
        raise UsageError(
            f"{OPERATOR_KEY} is no SHA-256", hint="64 hexadecimal digits: the hash of the key"
        )
    return digest


def _administrator(database: Database) -> Database:
    """Return the database as the administrator sees it: two connections at the direct door."""
    known = database.settings
    if known.file is None:
        raise UsageError(
            f"{OPERATOR_KEY} is set, and there is no connection file that names an administrator",
            hint="`pgstead up` writes one; or unset the variable",
        )
    target = Target.from_file(known.file, role="admin", door="direct", driver=known.target.driver)
    figures = replace(known.figures, size=2, max_overflow=0)
    return Database(
        replace(known, target=target, figures=figures),
        metadata=Base.metadata,
        program="ai_agents operator",
    )
