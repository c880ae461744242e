"""The HTTP service of specgen."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from pathlib import Path

from fastapi import APIRouter, FastAPI

from pgstead.app import migrations
from pgstead.app.environment import process_environment
from pgstead.app.problems import RESPONSES
from pgstead.app.routing import add_routes
from pgstead.app.service import Service
from systems.specgen.models import Base
from systems.specgen.passwords import Passwords
from systems.specgen.routes import contents, people, second_factor, workspaces
from systems.together import composition

DATABASE = "specgen"
PREFIX = "SPECGEN_"
HERE = Path(__file__).resolve().parent


def router() -> APIRouter:
    """Return the routes, to be mounted where a service wants them."""
    routes = APIRouter(responses=RESPONSES)
    add_routes(routes, people.router, second_factor.router, workspaces.router, contents.router)
    return routes


def create_app(environ: Mapping[str, str] | None = None) -> FastAPI:
    """Make the application; its database comes from the environment or the connection file."""
    variables = process_environment() if environ is None else environ
    service = Service(
        title="specgen",
        version=importlib.metadata.version("pgstead"),
        database=DATABASE,
        prefix=PREFIX,
        metadata=Base.metadata,
        heads=migrations.heads(HERE / "migrations"),
        start=HERE,
    )
    app = service.create(router(), variables)
    setattr(app.state, people.STATE, Passwords())
    database = composition.database_of(app)
    database.sessions.configure(autoflush=False)  # as the specification has it (APP-10)
    return app
