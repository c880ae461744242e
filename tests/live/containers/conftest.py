"""One stead in containers for all of them: the images are built, which takes minutes.

It takes an engine, which CI has not. Where there is none all is skipped, and says so. On a machine
with podman alone, a thread stands for the timers of systemd, by which podman runs health checks.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.live.containers.contained import (
    Contained,
    contained_stead,
    must_have_an_engine,
    timers,
)
from tests.live.upgrade.writers import LOAD


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep all of them out of the suite, and on one worker."""
    for item in items:
        if "containers" in item.path.parts and "live" in item.path.parts:
            item.add_marker(pytest.mark.soak)
            item.add_marker(pytest.mark.xdist_group("containers"))
            item.add_marker(pytest.mark.timeout(3600))


@pytest.fixture(scope="session", autouse=True)
def _engine() -> Iterator[None]:
    must_have_an_engine()
    with timers():
        yield


@pytest.fixture(scope="session", name="contained")
def _contained(_engine: None) -> Iterator[Contained]:
    with contained_stead(extra=LOAD) as found:
        found.run("up")
        yield found


@pytest.fixture(autouse=True)
def _healthy(request: pytest.FixtureRequest) -> None:
    """Give each the same: all healthy, whatever the one before did."""
    if "contained" in request.fixturenames:
        request.getfixturevalue("contained").wait_until_healthy()
