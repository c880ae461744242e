"""One laboratory for all tests of tenancy."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.live.service import api, scratch, service
from tests.live.tenancy.lab import Lab, laboratory

__all__ = ["api", "lab", "scratch", "service"]


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """Share one laboratory; who changes its schema puts it back."""
    with laboratory() as made:
        yield made
