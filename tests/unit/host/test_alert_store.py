"""Alerts on the disk: whole after a kill, and read by who may not write."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pgstead.errors import StateDirectoryError
from pgstead.host.alert_store import AlertFile
from pgstead.host.programs import my_name
from pgstead.model.alerts import AlertState, Phase

READER = "nobody" if os.geteuid() == 0 else my_name()
NOW = datetime(2026, 1, 1, tzinfo=UTC)
KEPT = (AlertState("server_down", Phase.FIRING, NOW, 0.0, NOW, 1.0, "why"),)
# Pages of the transaction are in the file by then: the cache holds one of them.
KILLED = """
import os, sys
from pathlib import Path
from pgstead.host.alert_store import AlertFile
with AlertFile(Path(sys.argv[1]), sys.argv[2])._writing() as opened:
    opened.execute("PRAGMA cache_size = 1")
    opened.execute("DELETE FROM alert")
    opened.executemany(
        "INSERT INTO change (name, was, became, at, reason) VALUES ('x', 'firing', 'firing', 0, ?)",
        [("fat" * 500,)] * 300,
    )
    os.kill(os.getpid(), 9)
"""


@pytest.fixture
def path() -> Iterator[Path]:
    """Where alerts are kept; pytest's own directories are closed to other users."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o711)
        yield Path(name, "alerts", "alerts.db")


@pytest.fixture
def store(path: Path) -> AlertFile:
    made = AlertFile(path, READER)
    made.keep(KEPT, [])
    return made


def killed_in_a_transaction(path: Path) -> Path:
    """Return the journal by which the file is to be put right."""
    done = subprocess.run([sys.executable, "-c", KILLED, str(path), READER], check=False)
    assert done.returncode == -9
    journal = Path(f"{path}-journal")
    assert journal.stat().st_size > 4096
    return journal


def seen(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


@contextmanager
def as_a_reader(path: Path) -> Iterator[None]:
    """Be somebody who may read the file and its directory, and write neither."""
    if os.geteuid() == 0:
        nobody = pwd.getpwnam(READER)
        os.setegid(nobody.pw_gid)
        os.seteuid(nobody.pw_uid)
    else:
        path.chmod(0o400)
        path.parent.chmod(0o500)
    try:
        yield
    finally:
        if os.getuid() == 0:
            os.seteuid(0)
            os.setegid(os.getgid())
        else:
            path.parent.chmod(0o700)
            path.chmod(0o600)


def test_a_file_whose_writer_was_killed_is_read_as_it_was_before(
    store: AlertFile, path: Path
) -> None:
    journal = killed_in_a_transaction(path)
    assert store.states() == KEPT
    assert store.history() == ()
    assert not journal.exists()
    store.keep((), [])
    assert store.states() == ()


def test_reading_makes_nothing_and_changes_nothing(path: Path) -> None:
    store = AlertFile(path, READER)
    assert store.states() == ()
    assert not path.parent.exists()
    path.parent.mkdir()
    assert store.states() == ()
    assert seen(path.parent) == {}
    path.touch()
    assert store.states() == ()
    assert seen(path.parent) == {path.name: b""}
    store.keep(KEPT, [])
    before = seen(path.parent)
    assert store.states() == KEPT
    assert seen(path.parent) == before


def test_who_may_not_write_reads_what_is_whole_and_never_what_is_half_written(
    store: AlertFile, path: Path
) -> None:
    with as_a_reader(path):
        assert not os.access(path, os.W_OK, effective_ids=True)
        assert store.states() == KEPT
    killed_in_a_transaction(path)
    before = seen(path.parent)
    with as_a_reader(path), pytest.raises(StateDirectoryError, match="put them right"):
        store.states()
    assert seen(path.parent) == before
    assert store.states() == KEPT
    with as_a_reader(path):
        assert store.states() == KEPT
