"""A server for the tests of migrations, and histories on it."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.live.migrate.project import Project
from tests.live.scratch import Scratch, running_server

_NUMBERS = count()


@pytest.fixture(scope="package")
def scratch() -> Iterator[Scratch]:
    """Share one server among the tests of this folder."""
    with running_server() as running:
        yield running


@pytest.fixture
def project(scratch: Scratch, tmp_path: Path) -> Project:
    """Give a history without revisions, and an empty database."""
    return Project(scratch, tmp_path / "project", f"run_{next(_NUMBERS)}")
