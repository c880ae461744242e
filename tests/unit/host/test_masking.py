"""The key of the pseudonyms: made once, whole or not at all."""

from __future__ import annotations

import os
import secrets
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from pgstead.errors import StateDirectoryError
from pgstead.host.masking import key_at

KILLED = """
import os, secrets, sys
from pathlib import Path
from pgstead.host.masking import key_at
real = secrets.token_hex
secrets.token_hex = lambda size: os.kill(os.getpid(), 9) if size == 32 else real(size)
key_at(Path(sys.argv[1]))
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "masking" / "key"


def test_it_is_made_once_and_nobody_else_reads_it(path: Path) -> None:
    made = key_at(path)
    assert len(made) == 32
    assert key_at(path) == made
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_who_comes_while_it_is_made_has_the_same_one(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[bytes] = []
    token_hex = secrets.token_hex

    def made(size: int) -> str:
        if size != 32:
            return token_hex(size)
        monkeypatch.undo()
        told.append(key_at(path))  # another process
        return token_hex(size)

    monkeypatch.setattr(secrets, "token_hex", made)
    assert [key_at(path)] == told
    assert list(path.parent.iterdir()) == [path]


def test_who_is_killed_while_it_writes_leaves_the_next_one_no_empty_key(path: Path) -> None:
    assert subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False).returncode == -9
    assert len(key_at(path)) == 32


def test_what_is_no_key_is_never_replaced(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("half")
    with pytest.raises(StateDirectoryError, match="holds no key"):
        key_at(path)
    assert path.read_text() == "half"


def test_a_disk_that_refuses_is_an_error_that_says_so(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refused)
    with pytest.raises(StateDirectoryError, match="no space left"):
        key_at(path)
    assert list(path.parent.iterdir()) == []
