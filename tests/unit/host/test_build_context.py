"""The directory that images are built from."""

from __future__ import annotations

from pathlib import Path

import pytest

from pgstead.errors import UsageError
from pgstead.host import build_context

PINS = """\
barman==3.19.1 ; python_full_version < '3.12' \\
    --hash=sha256:aa
barman==3.20.1 ; python_full_version >= '3.12' \\
    --hash=sha256:bb
boto3==1.0 \\
    --hash=sha256:cc
"""


@pytest.mark.parametrize(("python", "version"), [("3.11", "3.19.1"), ("3.14", "3.20.1")])
def test_pins_are_those_of_the_python_in_the_image(python: str, version: str) -> None:
    told = build_context.for_python(PINS, python)
    assert f"barman=={version} \\" in told
    assert told.count("barman==") == 1
    assert told.count("--hash") == 2
    assert ";" not in told


def test_what_pgstead_needs_here_is_pinned_with_what_its_extras_need() -> None:
    names = {line.partition("==")[0] for line in build_context.own_pins().splitlines()}
    assert {"greenlet", "psycopg-binary", "asyncpg", "click"} <= names
    assert not {"pgstead", "pytest", "ruff"} & names


def test_a_directory_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError):
        build_context.claim(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_second_run_changes_nothing(tmp_path: Path) -> None:
    place = tmp_path / "out"
    source = tmp_path / "app"
    (source / "__pycache__").mkdir(parents=True)
    (source / "__pycache__" / "a.pyc").touch()
    (source / "a.py").write_text("x = 1")
    build_context.claim(place)
    assert build_context.write(place, {"one/two": "text"}) == ("one/two",)
    assert build_context.copy_trees(place / "code", {"app": source})
    build_context.claim(place)
    assert build_context.write(place, {"one/two": "text"}) == ()
    assert not build_context.copy_trees(place / "code", {"app": source})
    assert not list(place.rglob("*.pyc"))


def test_what_was_removed_from_the_application_leaves_the_directory_too(tmp_path: Path) -> None:
    source = tmp_path / "app"
    source.mkdir()
    for name in ("a.py", "b.py"):
        (source / name).write_text(name)
    build_context.copy_trees(tmp_path / "out", {"app": source})
    (source / "b.py").unlink()
    assert build_context.copy_trees(tmp_path / "out", {"app": source})
    assert [p.name for p in (tmp_path / "out" / "app").iterdir()] == ["a.py"]


def test_what_applications_wrote_is_not_copied_and_changes_no_digest(tmp_path: Path) -> None:
    source = tmp_path / "app"
    written = source / "exports"
    written.mkdir(parents=True)
    (source / "a.py").write_text("x = 1")
    before = build_context.digest({"code": {"app": source}}, {written})
    (written / "of-a-person.csv").write_text("hers")
    assert build_context.digest({"code": {"app": source}}, {written}) == before
    build_context.copy_trees(tmp_path / "out", {"app": source}, {written})
    assert [p.name for p in (tmp_path / "out").rglob("*") if p.is_file()] == ["a.py"]


def test_a_tree_that_the_manifest_names_and_nobody_finds_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is nothing"):
        build_context.copy_trees(tmp_path / "out", {"app": tmp_path / "none"})
