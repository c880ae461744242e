"""One laboratory for all tests of tenancy."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.live.scratch import Scratch
from tests.live.service import AI_AGENTS, SPECGEN, alembic, api, scratch, service
from tests.live.tenancy import models
from tests.live.tenancy.lab import Lab, laboratory
from tests.live.tenancy.worlds import World, world

__all__ = ["api", "lab", "scratch", "service"]


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """Share one laboratory; who changes its schema puts it back."""
    with laboratory() as made:
        yield made


@pytest.fixture(scope="session")
def every_system(scratch: Scratch) -> Scratch:
    """Give one server with the databases of all three systems."""
    for system in (AI_AGENTS, SPECGEN):
        connection = scratch.add_database(system.name, system.prefix)
        alembic("upgrade", "head", connection=connection, system=system)
    return scratch


@pytest.fixture
def worlds(every_system: Scratch, lab: Lab) -> Callable[[str], World]:
    """Return the worlds by name."""

    def of(name: str) -> World:
        server = lab.scratch if name == models.NAME else every_system
        return world(name, lambda: server.admin(name))

    return of
