"""Histories read as text, by the prover."""

from __future__ import annotations

from pathlib import Path

from pgstead.prove.history_files import reached, written


def write(folder: Path, name: str, text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)


def test_revisions_are_found_by_what_they_say_not_by_their_names(tmp_path: Path) -> None:
    write(tmp_path / "a" / "versions", "1.py", 'revision = "x"\ndown_revision = None\n')
    write(tmp_path / "b", "2.py", 'revision: str = "y"\ndown_revision: str | None = "x"\n')
    write(tmp_path / "b", "3.py", 'revision = "z"\ndown_revision = ("x", "y")\ndepends_on = "w"\n')
    write(tmp_path, "env.py", "import os\n")
    write(tmp_path, "broken.py", "revision = (\n")
    write(tmp_path, "computed.py", "revision = str(1)\n")
    files = written(tmp_path)
    assert {name: file.parents for name, file in files.items()} == {
        "x": (),
        "y": ("x",),
        "z": ("x", "y", "w"),
    }
    assert set(reached(files, ["y"])) == {"x", "y"}
    assert set(reached(files, ["z"])) == {"x", "y", "z", "w"}
    assert reached(files, ["gone"]) == ("gone",)


def test_how_lines_end_is_no_difference(tmp_path: Path) -> None:
    write(tmp_path / "unix", "1.py", 'revision = "x"\nn = 1\n')
    (tmp_path / "windows").mkdir()
    (tmp_path / "windows" / "1.py").write_bytes(b'revision = "x"\r\nn = 1\r\n')
    unix, windows = written(tmp_path / "unix"), written(tmp_path / "windows")
    assert unix["x"].lines == windows["x"].lines
