"""A server by hand that logs every statement, with the vault's tables; and its keys."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from pgstead.app.encryption import FileSource, Keys, keyfile
from pgstead.app.target import Driver
from tests.live.encryption.searching import make_talkative
from tests.live.encryption.vault import Base
from tests.live.scratch import Scratch, running_server


@pytest.fixture(scope="session")
def vault() -> Iterator[Scratch]:
    """Give the server with the vault's tables."""
    with running_server() as scratch:
        make_talkative(scratch)
        engine = create_engine("postgresql+psycopg://", creator=lambda: scratch.connect("migrator"))
        Base.metadata.create_all(engine)
        engine.dispose()
        yield scratch


@pytest.fixture
def driver(request: pytest.FixtureRequest) -> Driver:
    """Give the driver; parametrized where both are tried."""
    return getattr(request, "param", Driver.ASYNCPG)


@pytest.fixture
def keyfile_path(tmp_path: Path) -> Path:
    """Give a key file."""
    path = tmp_path / "keys.json"
    keyfile.write(path, keyfile.new(), owner=None)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.stat().st_uid == os.geteuid()
    return path


@pytest.fixture
def keys(keyfile_path: Path) -> Keys:
    """Give the keys of an application."""
    return Keys(FileSource(keyfile_path))
