"""Keyrings that killed runs left."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pgstead.host import gpg_homes
from pgstead.model.host import BackupTools

TOOLS = BackupTools("3", sys.executable, "/nowhere", "/nowhere/rsync", "/nowhere/gpg")
LEAVES = """
import os, sys
from pathlib import Path
from pgstead.host import gpg_homes
from pgstead.model.host import BackupTools
tools = BackupTools(*sys.argv[1:])
with gpg_homes.home_of_a_moment(tools, starting=True) as home:
    print(home, flush=True)
    os._exit(9)
"""


@pytest.fixture
def _temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with tempfile.TemporaryDirectory(prefix="t-") as short:
        monkeypatch.setenv("TMPDIR", short)
        monkeypatch.setattr(tempfile, "tempdir", short)
        yield


@pytest.mark.usefixtures("_temporary")
def test_what_a_killed_run_left_is_removed_by_the_next_and_a_living_one_s_is_not() -> None:
    words = (TOOLS.version, TOOLS.python, TOOLS.packages, TOOLS.rsync, TOOLS.gpg)
    killed = subprocess.run(
        [sys.executable, "-c", LEAVES, *words], capture_output=True, text=True, check=False
    )
    left = Path(killed.stdout.strip())
    assert left.is_dir()
    with gpg_homes.home_of_a_moment(TOOLS, starting=True) as ours:
        assert not left.exists()
        gpg_homes.sweep(TOOLS)
        assert ours.is_dir()
    assert not ours.exists()


@pytest.mark.usefixtures("_temporary")
def test_what_is_not_named_as_ours_stays() -> None:
    other = Path(tempfile.gettempdir(), "pgst-gpg-of-somebody")
    other.mkdir()
    gpg_homes.sweep(TOOLS)
    assert other.is_dir()
