"""A server by hand, and the service on it; each driver in turn."""

import pytest

from pgstead.app.target import Driver
from tests.live.app.work import FUNCTIONS
from tests.live.scratch import Scratch
from tests.live.service import api, scratch, service

__all__ = ["api", "driver", "scratch", "service"]


@pytest.fixture(params=list(Driver))
def driver(request: pytest.FixtureRequest) -> Driver:
    """Give each driver in turn."""
    return request.param


@pytest.fixture(scope="session", autouse=True)
def _functions(scratch: Scratch) -> None:
    """Make the functions by which people of jeex_idea sign up in these tests."""
    with scratch.admin("jeex_idea") as admin:
        admin.execute(FUNCTIONS.encode())
