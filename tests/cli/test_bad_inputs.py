"""Bad inputs, each with its message, its hint and its exit status."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cli.program import pgstead

MANIFEST = """\
version = 1
name = "shop"

[server]
port = 5999

[[databases]]
name = "shop"
"""


def manifest(directory: Path, text: str = MANIFEST) -> None:
    """Write a manifest."""
    (directory / "pgstead.toml").write_text(text)


def changed(old: str, new: str) -> Callable[[Path], None]:
    """Write the manifest with one change."""
    assert old in MANIFEST
    return lambda directory: manifest(directory, MANIFEST.replace(old, new))


def added(text: str) -> Callable[[Path], None]:
    """Write the manifest with more at its end."""
    return lambda directory: manifest(directory, MANIFEST + text)


def another_stead(directory: Path) -> None:
    """Leave the state of a stead of another name."""
    manifest(directory)
    _identity(directory, name="orders", major=18)


def _identity(directory: Path, *, name: str, major: int) -> None:
    state = directory / ".pgstead"
    state.mkdir()
    told = {"stead_id": "1", "name": name, "major": major, "created": "", "directory": ""}
    (state / "identity.json").write_text(json.dumps(told))


def another_major(directory: Path) -> None:
    """Leave a data directory of another major version."""
    manifest(directory)
    _identity(directory, name="shop", major=15)
    data = directory / ".pgstead" / "server" / "data"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("15\n")


def nothing(directory: Path) -> None:
    """Leave the directory empty."""


@dataclass(frozen=True)
class Bad:
    """A bad input and what must be said about it."""

    name: str
    words: tuple[str, ...]
    prepare: Callable[[Path], None]
    message: str
    hint: str
    status: int = 2


TABLE = [
    Bad("a misspelt command", ("plann",), nothing,
        "no such command: `plann`; did you mean `plan`?", "`pgstead --help` shows what it takes"),
    Bad("a misspelt option", ("up", "--alow", "restart"), nothing,
        "no such option '--alow'; did you mean '--allow'?", "`pgstead up --help` shows what"),
    Bad("an impact that there is not", ("up", "--allow", "everything"), nothing,
        "'everything' is not one of", "`pgstead up --help` shows what it takes"),
    Bad("a missing argument", ("url",), nothing,
        "missing argument 'DATABASE'", "`pgstead url --help` shows what it takes"),
    Bad("no manifest here or above", ("plan",), nothing,
        "there is no pgstead.toml in", "`pgstead init` writes one"),
    Bad("no manifest where -C points", ("-C", "elsewhere", "plan"), nothing,
        "there is no manifest at elsewhere", "`pgstead init` writes one"),
    Bad("a directory without a manifest", ("-C", ".", "plan"), nothing,
        "there is no manifest at pgstead.toml", "`pgstead init` writes one"),
    Bad("not TOML", ("plan",), lambda d: manifest(d, "version = \n"),
        "pgstead.toml:1:", "the file is not valid TOML"),
    Bad("an empty manifest", ("plan",), lambda d: manifest(d, ""),
        "version: is missing", ""),
    Bad("a misspelt key", ("plan",), changed("port =", "prot ="),
        "server.prot: is no key that pgstead knows", 'did you mean "port"?'),
    Bad("a wrong type", ("plan",), changed("5999", '"a"'),
        'server.port: "a" is not allowed', "allowed: a whole number, without quotes"),
    Bad("a port that there is not", ("plan",), changed("5999", "70000"),
        "server.port: 70000 is out of range", "allowed: at most 65535"),
    Bad("an unknown setting", ("plan",), added('\n[server.settings]\nshard_buffers = "1GB"\n'),
        "shard_buffers", 'did you mean "shared_buffers"?'),
    Bad(
        "a budget that does not add up",
        ("explain", "server.work_mem"),
        added(
            '\n[[databases.processes]]\nname = "worker"\ncount = 40\n'
            '\n[pooler.settings]\nmax_client_conn = "100"\n'
        ),
        "sum            1200  of 100 (pooler.max_client_conn)",
        "raise pooler.settings.max_client_conn to 1200 or more",
    ),
    Bad("a role that there is not", ("url", "shop", "--role", "root"), manifest,
        "'root' is not one of", "`pgstead url --help` shows what it takes"),
    Bad("a value that there is not", ("explain", "wrk_mem"), manifest,
        'pgstead derives no "wrk_mem"', 'did you mean "work_mem"?'),
    Bad("a URL before the first up", ("url", "shop"), manifest,
        "nothing was brought up here yet", "`pgstead up`", 1),
    Bad("psql before the first up", ("psql", "shop"), manifest,
        "nothing was brought up here yet", "`pgstead up`", 1),
    Bad("logs before the first up", ("logs",), manifest,
        "nothing was brought up here yet", "`pgstead up`", 1),
    Bad("binaries that are not where they should be", ("plan",),
        changed("[server]\n", '[server]\nbindir = "/usr/lib/nowhere"\n'),
        "server.bindir is /usr/lib/nowhere, and there is no postgres in it", "pg_config", 1),
    Bad("the state of another stead", ("plan",), another_stead,
        "belongs to the stead 'orders', not to 'shop'", 'set name = "orders" again', 1),
    Bad("a data directory of another major version", ("plan",), another_major,
        "is of PostgreSQL 15, and the manifest asks for 18", "set server.major = 15", 1),
    Bad("a promise that there is not", ("prove", "nonsense"), manifest,
        "no promise is selected by 'nonsense'", "name a capability"),
    Bad("a state path too long for a socket", ("plan",),
        lambda d: manifest(d, f'state = "{"x" * 120}"\n{MANIFEST}'),
        "is too long for a Unix socket", "choose another directory in the manifest", 1),
]  # fmt: skip


@pytest.mark.parametrize("bad", TABLE, ids=lambda bad: bad.name.replace(" ", "-"))
def test_a_bad_input_is_refused_with_a_message_a_hint_and_a_status(bad: Bad, place: Path) -> None:
    bad.prepare(place)
    said = pgstead(*bad.words, directory=place)
    assert said.out == ""
    told, _, hint = said.err.partition("\nhint: ")
    assert told.startswith("error: "), said.err
    assert bad.message in told
    assert bad.hint in hint
    assert said.status == bad.status
    assert "Traceback" not in said.err


@pytest.mark.parametrize("bad", TABLE, ids=lambda bad: bad.name.replace(" ", "-"))
def test_a_bad_input_is_told_to_programs_as_json(bad: Bad, place: Path) -> None:
    bad.prepare(place)
    said = pgstead("--json", *bad.words, directory=place)
    assert said.err == ""
    told = json.loads(said.out)
    assert bad.message in told["message"]
    assert bad.hint in told["hint"]
    assert told["exit_status"] == said.status == bad.status
    assert told["error"]


def test_all_problems_of_a_manifest_are_told_at_once(place: Path) -> None:
    text = MANIFEST.replace("port =", "prot =").replace("version = 1", "version = 2")
    manifest(place, text)
    said = pgstead("plan", directory=place)
    assert "2 problems" in said.err
    assert "server.prot" in said.err
    assert "version" in said.err


def test_a_bug_is_told_as_one_with_the_path_of_its_log(place: Path) -> None:
    """A module that cannot be imported stands for whatever nobody thought of."""
    broken = place / "broken" / "pgstead_breaks"
    broken.mkdir(parents=True)
    (broken.parent / "sitecustomize.py").write_text(
        "import sys\nsys.modules['pgstead.manifest.schema'] = None\n"
    )
    temporary = place / "temporary"
    temporary.mkdir()
    said = pgstead(
        "schema",
        directory=place,
        environment={"PYTHONPATH": str(broken.parent), "TMPDIR": str(temporary)},
    )
    assert said.status == 1
    assert said.err.startswith("error: pgstead has a bug: ModuleNotFoundError: ")
    (log,) = temporary.glob("bug-*.log")
    assert f"hint: please report it with {log}" in said.err
    assert "Traceback" in log.read_text()
    assert log.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["dir with space", "a%b", "it's", 'quo"te', "ünï", "$HOME `x`"])
def test_any_directory_name_works(name: str, place: Path) -> None:
    directory = place / name
    directory.mkdir()
    manifest(directory)
    for here, given in ((directory, ()), (place, ("-C", str(directory)))):
        said = pgstead(*given, "--json", "explain", "server.work_mem", directory=here)
        assert said.status == 0, said.err + said.out
        assert json.loads(said.out)["name"] == "server.work_mem"


def test_the_manifest_is_found_upwards_and_in_front_of_the_command_or_behind(
    place: Path,
) -> None:
    manifest(place)
    below = place / "a" / "b"
    below.mkdir(parents=True)
    runs = [
        pgstead("explain", "work_mem", directory=below),
        pgstead("-C", "../..", "explain", "work_mem", directory=below),
        pgstead("explain", "work_mem", "-C", str(place), directory=below),
        pgstead("explain", "work_mem", "-C", str(place / "pgstead.toml"), directory=below),
    ]
    assert [run.status for run in runs] == [0, 0, 0, 0]
