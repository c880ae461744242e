"""A server by hand, and the service on it; each driver in turn."""

import pytest

from pgstead.app.target import Driver
from tests.live.service import api, scratch, service

__all__ = ["api", "driver", "scratch", "service"]


@pytest.fixture(params=list(Driver))
def driver(request: pytest.FixtureRequest) -> Driver:
    """Give each driver in turn."""
    return request.param
