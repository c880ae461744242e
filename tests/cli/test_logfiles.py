"""Reading logs: last lines over several files, and what is written next."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path

from pgstead.cli.logfiles import follow, known, last_lines


def write(path: Path, text: str, age: int = 0) -> Path:
    """Write a log of some age, in hours."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    moment = path.stat().st_mtime - age * 3600
    os.utime(path, (moment, moment))
    return path


def test_the_last_lines_reach_back_into_older_files(tmp_path: Path) -> None:
    old = write(tmp_path / "server/log/old.log", "1\n2\n3\n", age=2)
    new = write(tmp_path / "server/log/new.log", "4\n5\n")
    assert known(tmp_path)["postgres"] == [old, new]
    assert last_lines([old, new], 3) == ["3", "4", "5"]
    assert last_lines([old, new], 99) == ["1", "2", "3", "4", "5"]
    assert last_lines([old, new], 0) == []


def test_long_files_are_read_from_their_end(tmp_path: Path) -> None:
    text = "".join(f"line {number} {'x' * 500}\n" for number in range(2000))
    log = write(tmp_path / "log/api.log", text)
    assert last_lines([log], 1000) == text.splitlines()[-1000:]


def test_names_are_those_of_the_programs(tmp_path: Path) -> None:
    from pgstead.model.layout import file_label

    for name in ("api-jeex_idea", "api-ünï %x", "api-a=b", "supervisord"):
        write(tmp_path / "log" / f"{file_label(name)}.log", "")
    write(tmp_path / "pooler/pgbouncer.log", "")
    names = ["api-a=b", "api-jeex_idea", "api-ünï %x", "pgbouncer", "supervisord"]
    assert list(known(tmp_path)) == names


def test_following_yields_new_lines_also_of_new_and_replaced_files(tmp_path: Path) -> None:
    first = write(tmp_path / "server/log/1.log", "before\n")
    lines = follow(lambda: known(tmp_path))
    written = iter(("a\n", "b\n"))

    def on_next_look() -> dict[str, list[Path]]:
        for text in islice(written, 1):
            with first.open("a") as file:
                file.write(text)
        return known(tmp_path)

    lines = follow(on_next_look)
    # The first look finds `a` there already; what was there before is not told again.
    assert next(lines) == ("postgres", "b")
    write(tmp_path / "server/log/2.log", "c\n")
    assert next(lines) == ("postgres", "c")
    first.unlink()
    write(first, "d\n")
    assert next(lines) == ("postgres", "d")


def test_a_line_is_told_when_it_is_whole(tmp_path: Path) -> None:
    log = write(tmp_path / "log/api.log", "")
    parts = iter(("", "ha", "lf\n"))

    def look() -> dict[str, list[Path]]:
        for text in islice(parts, 1):
            with log.open("a") as file:
                file.write(text)
        return known(tmp_path)

    assert next(follow(look)) == ("api", "half")
