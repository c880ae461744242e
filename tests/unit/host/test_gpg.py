"""Another passphrase for the keys: however that ends, one opens them, and it is at its place."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pgstead.errors import SteadError
from pgstead.host import gpg, gpg_homes
from pgstead.model.host import BackupTools

GPG = shutil.which("gpg")
TOOLS = BackupTools("3", "/nowhere", "/nowhere", "/nowhere/rsync", GPG or "")
pytestmark = pytest.mark.skipif(GPG is None, reason="gpg is not installed")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a pair once, as `gpg.make` does, but not so dear to open."""
    place = tmp_path_factory.mktemp("made")
    passphrase = place / "passphrase"
    passphrase.write_text("old\n")
    with gpg_homes.home_of_a_moment(TOOLS, starting=True) as home:
        gpg._protect(home, gpg._PASSING)
        gpg._add(TOOLS, home, place / "key", "stead@example.org", passphrase)
    return place


@pytest.fixture
def place(made: Path, tmp_path: Path) -> Path:
    """Give a pair whose passphrase is `old`, and two more passphrases."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    for word in ("new", "newer"):
        (tmp_path / word).write_text(f"{word}\n")
    return tmp_path


def change(place: Path, wanted: str) -> None:
    gpg.change_passphrase(TOOLS, place / "key", place / "passphrase", place / wanted)


def holds(place: Path) -> str:
    """Return the passphrase that opens the pair, from where the stead reads it."""
    with gpg.keyring(TOOLS, place / "key", place / "passphrase"):
        assert sorted(path.name for path in (place / "key").iterdir()) == [gpg.PUBLIC, gpg.SECRET]
    return (place / "passphrase").read_text().strip()


def after(real: Callable[..., Any], then: Callable[[], object]) -> Callable[..., Any]:
    """Return what does what it did, and something else once."""
    done: list[object] = []

    def both(*given: Any, **named: Any) -> Any:
        told = real(*given, **named)
        if not done:
            done.append(True)
            then()
        return told

    return both


def interrupt() -> None:
    signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize(
    ("where", "what", "opens"),
    [
        (gpg, "_change", "old"),
        (gpg, "_export_secret", "new"),
        (gpg_homes, "_end_agent", "new"),
    ],
)
def test_ctrl_c_leaves_keys_that_open(
    place: Path, monkeypatch: pytest.MonkeyPatch, where: Any, what: str, opens: str
) -> None:
    monkeypatch.setattr(where, what, after(getattr(where, what), interrupt))
    with pytest.raises(KeyboardInterrupt):
        change(place, "new")
    assert holds(place) == opens
    assert not (place / "passphrase.pending").exists()


def test_a_disk_that_refuses_after_the_keys_have_it_leaves_keys_that_open(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: Path) -> None:
        if path == place / "key":
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(gpg, "sync_directory", refused)
    with pytest.raises(SteadError, match="input/output error"):
        change(place, "new")
    assert holds(place) == "new"


def test_a_change_after_one_that_was_killed_begins_with_the_one_that_holds(place: Path) -> None:
    change(place, "new")
    # as kill -9 leaves it when the keys have it and the file has not
    shutil.copy(place / "passphrase", place / "passphrase.pending")
    (place / "passphrase").write_text("old\n")
    change(place, "newer")
    assert holds(place) == "newer"


def test_another_process_may_have_put_it_at_its_place(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def adopted() -> None:
        assert holds(place) == "new"

    monkeypatch.setattr(gpg, "_export_secret", after(gpg._export_secret, adopted))
    change(place, "new")
    assert holds(place) == "new"


def rounds(key: Path) -> set[str]:
    """Return the rounds that protect the pairs in a file, of which each has two."""
    words = [str(GPG), "--batch", "--list-packets", str(key / gpg.SECRET)]
    told = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    found = re.findall(r"protect count: (\d+)", told)
    assert len(found) % 2 == 0
    assert found
    return set(found)


def test_pairs_are_written_down_under_as_many_rounds_as_there_can_be(place: Path) -> None:
    assert rounds(place / "key") == {"1048576"}  # of the fixture
    change(place, "new")
    assert rounds(place / "key") == {"65011712"}
    assert holds(place) == "new"
    gpg.rotate(TOOLS, place / "key", "stead@example.org", place / "passphrase")
    assert rounds(place / "key") == {"65011712"}
    gpg.make(TOOLS, place / "other", "stead@example.org", place / "passphrase")
    assert rounds(place / "other") == {"65011712"}
