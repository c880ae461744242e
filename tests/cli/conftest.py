"""A place for a manifest."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def place() -> Iterator[Path]:
    """Give a short directory that the servers' user may enter, unlike pytest's own."""
    directory = Path(tempfile.mkdtemp(prefix="pgst-", dir="/tmp"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory, ignore_errors=True)
