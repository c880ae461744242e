"""Help teaches, and costs nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pgstead.cli import migrate
from pgstead.cli.main import SECTIONS
from tests.cli.program import pgstead

COMMANDS = [name for section in SECTIONS.values() for name in section]
BELOW = [
    *(("demo", "load"), ("demo", "remove"), ("toolchain", "add"), ("toolchain", "list")),
    *(("migrate", name) for name in migrate.SUBCOMMANDS),
]


def test_help_names_every_command_and_every_exit_status(tmp_path: Path) -> None:
    said = pgstead("--help", directory=tmp_path)
    assert said.status == 0
    assert said.err == ""
    for section, commands in SECTIONS.items():
        assert f"{section}:" in said.out
        for name, text in commands.items():
            assert f"  {name} " in said.out
            assert text in said.out
    for status in range(6):
        assert f"\n  {status}  " in said.out


def test_help_imports_no_stage(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "pgstead", "--help"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    heavy = {"pydantic", "psycopg", "sqlalchemy", "alembic", "rich", "cryptography", "fastapi"}
    heavy |= {"postgast", "google.protobuf"}
    assert imported & heavy == set()
    ours = {name for name in imported if name.startswith("pgstead.")}
    assert all(name.startswith("pgstead.cli") or name == "pgstead.__main__" for name in ours)


def test_importing_pgstead_imports_no_stage(tmp_path: Path) -> None:
    program = """
import json, sys
from pgstead import design, load, plan, prove
print(json.dumps([m for m in sys.modules if m.startswith("pgstead.") or m == "pydantic"]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == []


def test_the_api_stays_callable_beside_the_packages_of_the_same_names(tmp_path: Path) -> None:
    program = """
import pgstead.plan.diff
from pgstead.design import compose
from pgstead.prove import promise
from pgstead import design, plan, prove
assert callable(design) and callable(plan) and callable(prove)
assert compose.__name__ == "pgstead.design.compose"
"""
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_teaches_with_an_example(name: str, tmp_path: Path) -> None:
    said = pgstead(name, "--help", directory=tmp_path)
    assert said.status == 0, said.err
    assert f"Usage: pgstead {name}" in said.out
    assert "Examples:" in said.out
    assert f"pgstead {name}" in said.out.partition("Examples:")[2]
    short = {n: t for s in SECTIONS.values() for n, t in s.items()}[name]
    assert short in " ".join(said.out.split())


@pytest.mark.parametrize("words", [*((name,) for name in COMMANDS), *BELOW])
def test_a_command_tells_its_exit_statuses_and_takes_the_shared_options(
    words: tuple[str, ...], tmp_path: Path
) -> None:
    said = pgstead(*words, "--help", directory=tmp_path)
    if "Commands:" in said.out:
        return
    assert "Exit status:" in said.out
    assert "\n  2  wrong command line or invalid manifest" in said.out
    for option in ("--manifest", "--json", "--quiet"):
        assert option in said.out


def test_help_has_no_colour_codes_even_where_colour_is_forced(tmp_path: Path) -> None:
    said = pgstead("--help", directory=tmp_path, environment={"CLICOLOR_FORCE": "1"})
    assert "\x1b" not in said.out


def test_version_is_that_of_the_package(tmp_path: Path) -> None:
    from importlib.metadata import version

    said = pgstead("--version", directory=tmp_path)
    assert (said.status, said.out) == (0, f"pgstead {version('pgstead')}\n")


def test_a_reader_that_leaves_early_is_no_error(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pgstead", "schema"],
            cwd=tmp_path,
            stdout=write,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (141, "")
