"""One laboratory for all tests of tenancy."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.live.scratch import Scratch
from tests.live.service import AI_AGENTS, SPECGEN, alembic, api, scratch, service
from tests.live.tenancy.lab import Lab, laboratory

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
