"""The scene: the shared stead, in a saboteur's hands."""

from __future__ import annotations

import os
from typing import Any

import pytest

from pgstead.cli.wiring import access_to, wire
from tests.sabotage.scene import Scene


@pytest.fixture(scope="session")
def scene(request: pytest.FixtureRequest) -> Scene:
    """Give the stead to damage. PGSTEAD_SABOTAGE names the manifest of one that runs already."""
    given = os.environ.get("PGSTEAD_SABOTAGE")
    wired: Any = wire(given) if given else request.getfixturevalue("stead").wired
    made = Scene(wired.design, wired.ports, access_to(wired.design, wired.ports))
    made.baseline = made.prove().verdicts()
    return made
