"""Files in which runs are written down: private, and an error that says what to do."""

from __future__ import annotations

import sqlite3
import stat
import time
from contextlib import closing
from pathlib import Path

import pytest

from pgstead.errors import StateDirectoryError
from pgstead.host import run_files

SCHEMA = "CREATE TABLE IF NOT EXISTS run (number INTEGER PRIMARY KEY) STRICT"


def put(path: Path) -> None:
    with run_files.opened(path, "the list", SCHEMA, may_be_removed="nobody minds") as opened:
        opened.execute("INSERT INTO run DEFAULT VALUES")


def test_it_is_made_where_there_is_none_and_nobody_else_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "list.sqlite"
    put(path)
    put(path)
    modes = [stat.S_IMODE(place.stat().st_mode) for place in (path.parent, path)]
    assert modes == [0o700, 0o600]
    with run_files.opened(path, "the list", SCHEMA, may_be_removed="") as opened:
        assert opened.execute("SELECT count(*) FROM run").fetchone() == (2,)


def test_a_place_that_cannot_be_made_is_an_error_that_says_so(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(StateDirectoryError, match=r"the list .* cannot be used") as caught:
        put(tmp_path / "runs" / "list.sqlite")
    assert "nobody minds" in caught.value.hint


def test_a_damaged_one_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "list.sqlite"
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(StateDirectoryError, match="not a database") as caught:
        put(path)
    assert "may be removed" in caught.value.hint


def test_who_makes_it_beside_another_waits_for_that_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "list.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        monkeypatch.setattr(time, "sleep", lambda _: other.execute("ROLLBACK"))
        put(path)
        assert not other.in_transaction


def test_another_that_never_ends_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "list.sqlite"
    monkeypatch.setattr(run_files, "_PATIENCE", 0.1)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StateDirectoryError, match="locked"):
            put(path)
