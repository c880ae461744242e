"""The connection file: found, read, and refused with words that help."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pgstead.app.connection import ConnectionFileError, Door, Figures, find, read

WHOLE: dict[str, Any] = {
    "version": 1,
    "stead": "foundation",
    "environment": "development",
    "database": "jeex_idea",
    "prefix": "JEEX_",
    "server": {"major": 18},
    "doors": {"direct": {"host": "127.0.0.1", "port": 5220}, "pooler": None},
    "ca": "/abs/ca.crt",
    "sslmode": "verify-full",
    "roles": {"app": {"user": "jeex_user", "passfile": "/abs/pass"}},
    "pooler": None,
    "pool": {"size": 20, "max_overflow": 30, "timeout": 30.0, "recycle": 840},
    "heads": ["a"],
}


def write(folder: Path, **changed: object) -> Path:
    """Write a connection file."""
    (folder / "connections").mkdir(parents=True)
    path = folder / "connections" / "jeex_idea.json"
    path.write_text(json.dumps({**WHOLE, **changed}))
    return path


def test_it_is_read_whole(tmp_path: Path) -> None:
    file = read(write(tmp_path), "jeex_idea")
    assert file.doors == {"direct": Door("127.0.0.1", 5220)}
    assert file.figures == Figures(20, 30, 30.0, 840)
    assert file.account("app").user == "jeex_user"
    assert file.pooler is None
    assert file.heads == ("a",)


def test_it_is_found_above_the_working_directory(tmp_path: Path) -> None:
    path = write(tmp_path / ".pgstead")
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    assert find("jeex_idea", {}, [below]) == path
    assert find("specgen", {}, [below]) is None


def test_a_pointer_leads_to_the_real_state_directory(tmp_path: Path) -> None:
    path = write(tmp_path / "var" / "state %d \"x'")
    pointer = tmp_path / "checkout" / ".pgstead"
    pointer.mkdir(parents=True)
    (pointer / "location").write_text(f"{path.parent.parent}\n")
    assert find("jeex_idea", {}, [pointer.parent]) == path


def test_the_environment_s_word_is_the_last(tmp_path: Path) -> None:
    write(tmp_path / ".pgstead")
    named = tmp_path / "other.json"
    assert find("jeex_idea", {"PGSTEAD_CONNECTION": str(named)}, [tmp_path]) == named


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"version": 2}, "has version 2"),
        ({"database": "specgen"}, "is of the database 'specgen'"),
        ({"pool": {}}, "is not complete"),
        ({"server": None}, "is not complete"),
        ({"doors": []}, "is not complete"),
        ({"roles": {"app": {"user": "x"}}}, "is not complete"),
    ],
)
def test_what_is_wrong_with_it_is_said(
    tmp_path: Path, changed: dict[str, object], words: str
) -> None:
    with pytest.raises(ConnectionFileError, match=words) as caught:
        read(write(tmp_path, **changed), "jeex_idea")
    assert caught.value.hint


def test_no_json_and_no_file_are_said(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    with pytest.raises(ConnectionFileError, match="cannot be read"):
        read(path)
    path.write_text("{")
    with pytest.raises(ConnectionFileError, match="is no JSON"):
        read(path)


def test_a_door_or_role_that_is_not_there_names_those_that_are(tmp_path: Path) -> None:
    file = read(write(tmp_path))
    with pytest.raises(ConnectionFileError) as caught:
        file.door("pooler")
    assert "direct" in caught.value.hint
    with pytest.raises(ConnectionFileError) as caught:
        file.account("migrator")
    assert "app" in caught.value.hint
