"""pip as a program."""

from __future__ import annotations

import sys
import venv
from pathlib import Path

import pytest

from pgstead.errors import HostError
from pgstead.host import pip


def test_an_interpreter_without_pip_is_told_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    venv.create(tmp_path / "bare", with_pip=False)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bare" / "bin" / "python"))
    with pytest.raises(HostError, match="no pip") as caught:
        pip.run("download", "--dest", str(tmp_path), "nothing", timeout=60)
    assert "ensurepip" in caught.value.hint


def test_what_cannot_be_had_is_the_callers_to_tell(tmp_path: Path) -> None:
    where = ("--no-index", "--dest", str(tmp_path))
    outcome = pip.run("download", *where, "pgstead-that-is-nowhere", timeout=60)
    assert not outcome.ok
    assert "pgstead-that-is-nowhere" in outcome.words
