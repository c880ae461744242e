"""The HTTP service of jeex_idea."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from pathlib import Path

from fastapi import APIRouter, FastAPI

from pgstead.app import migrations
from pgstead.app.problems import RESPONSES
from pgstead.app.routing import add_routes
from pgstead.app.service import Service
from systems.jeex_idea.models import Base
from systems.jeex_idea.routes import documents, executions, exports, projects, users

DATABASE = "jeex_idea"
PREFIX = "JEEX_"
HERE = Path(__file__).resolve().parent


def router() -> APIRouter:
    """Return the routes, to be mounted where a service wants them."""
    routes = APIRouter(responses=RESPONSES)
    add_routes(
        routes, users.router, projects.router, documents.router, executions.router, exports.router
    )
    return routes


def create_app(environ: Mapping[str, str] | None = None) -> FastAPI:
    """Make the application; its database comes from the environment or the connection file."""
    service = Service(
        title="jeex_idea",
        version=importlib.metadata.version("pgstead"),
        database=DATABASE,
        prefix=PREFIX,
        metadata=Base.metadata,
        heads=migrations.heads(HERE / "migrations"),
        start=HERE,
    )
    return service.create(router(), environ)
