"""One process for all: jeex_idea at the root, the others below `/ai_agents` and `/specgen`."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import FastAPI

from pgstead.app.environment import process_environment
from systems.ai_agents import api as ai_agents
from systems.jeex_idea import api as jeex_idea
from systems.specgen import api as specgen
from systems.together.composition import environment_of, mount


def create_app(environ: Mapping[str, str] | None = None) -> FastAPI:
    """Make the application; each system finds its database as it does by itself."""
    variables = process_environment() if environ is None else environ
    app = jeex_idea.create_app(environment_of(jeex_idea.DATABASE, variables))
    for guest in (ai_agents, specgen):
        variables_of_guest = environment_of(guest.DATABASE, variables)
        mount(app, f"/{guest.DATABASE}", guest.create_app(variables_of_guest))
    return app
