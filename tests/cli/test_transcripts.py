"""Commands that need no server: what they print, and what they leave."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.cli.program import pgstead


def test_init_writes_a_manifest_that_pgstead_accepts_and_tells_the_next_step(place: Path) -> None:
    said = pgstead("init", "--name", "orders", directory=place)
    assert said.status == 0, said.err
    assert said.out == f"wrote {place / 'pgstead.toml'}\n"
    assert said.err == "hint: `pgstead doctor` looks at this machine, `pgstead up` makes it run\n"
    told = tomllib.loads((place / "pgstead.toml").read_text())
    assert (told["name"], told["databases"][0]["name"]) == ("orders", "orders")
    assert pgstead("explain", "server.work_mem", directory=place).status == 0


def test_init_never_overwrites(place: Path) -> None:
    (place / "pgstead.toml").write_text("mine")
    said = pgstead("init", directory=place)
    assert said.status == 2
    assert said.err.startswith(f"error: {place / 'pgstead.toml'} exists already\nhint: ")
    assert (place / "pgstead.toml").read_text() == "mine"


def test_init_begins_an_application_that_can_be_imported(place: Path) -> None:
    said = pgstead("init", "--name", "orders", "--application", directory=place)
    assert said.status == 0, said.err
    written = [Path(line.removeprefix("wrote ")) for line in said.out.splitlines()]
    assert {str(path.relative_to(place)) for path in written} == {
        "pgstead.toml",
        "app.py",
        "alembic.ini",
        "migrations/env.py",
        "migrations/script.py.mako",
        "migrations/versions/.gitkeep",
    }
    assert pgstead("explain", "server.work_mem", directory=place).status == 0
    made = [sys.executable, "-c", "import app; app.Base.metadata.create_all"]
    assert subprocess.run(made, cwd=place, check=False).returncode == 0
    assert 'prefix="ORDERS_", database="orders"' in (place / "migrations/env.py").read_text()


def test_init_of_an_application_writes_all_or_nothing(place: Path) -> None:
    (place / "app.py").write_text("mine")
    said = pgstead("init", "--application", directory=place)
    assert said.status == 2
    assert said.err.startswith(f"error: {place / 'app.py'} exists already\nhint: ")
    assert [path.name for path in place.iterdir()] == ["app.py"]


@pytest.mark.parametrize("name", ["My Shop", "9to5", "ünï", "a%b", "it's", "---"])
def test_init_makes_a_usable_name_of_any_directory(name: str, place: Path) -> None:
    directory = place / name
    directory.mkdir()
    said = pgstead("--json", "init", directory=directory)
    assert said.status == 0, said.out
    assert json.loads(said.out)["name"].isidentifier()
    assert pgstead("explain", "server.work_mem", directory=directory).status == 0


def test_init_writes_where_minus_c_points(place: Path) -> None:
    (place / "a").mkdir()
    assert pgstead("-C", "a", "init", directory=place).status == 0
    assert pgstead("-C", "b.toml", "init", directory=place).status == 0
    assert (place / "a" / "pgstead.toml").exists()
    assert (place / "b.toml").exists()
    said = pgstead("-C", "nowhere", "init", directory=place)
    assert said.status == 2
    assert "nowhere/pgstead.toml cannot be written: " in said.err


def test_schema_is_a_json_schema_that_refuses_unknown_keys(place: Path) -> None:
    said = pgstead("schema", directory=place)
    told = json.loads(said.out)
    assert told["$schema"].startswith("https://json-schema.org/")
    assert told["additionalProperties"] is False
    assert "server" in told["properties"]


def test_explain_shows_formula_inputs_and_source(place: Path) -> None:
    pgstead("init", "--name", "orders", directory=place)
    said = pgstead("explain", "server.work_mem", directory=place)
    first, *rest = said.out.splitlines()
    assert first.startswith("server.work_mem = ")
    names = {line.split("  ")[1] for line in rest if line.startswith("  ") and line[2] != " "}
    assert {"formula", "limit", "source"} <= names
    assert pgstead("explain", "work_mem", directory=place).out == said.out


def test_explain_without_a_key_lists_every_value(place: Path) -> None:
    pgstead("init", "--name", "orders", directory=place)
    listed = pgstead("explain", directory=place).out
    told = json.loads(pgstead("explain", "--json", directory=place).out)
    assert len(told) > 50
    assert all(f"\n{name} " in listed for name in told)


def test_explain_knows_promises_and_errors_without_a_manifest(place: Path) -> None:
    promise = pgstead("explain", "tls-001", directory=place)
    assert promise.status == 0, promise.err
    assert promise.out.startswith("TLS-001: ")
    error = pgstead("explain", "port-taken", directory=place)
    assert error.out.startswith("port-taken: a port that the manifest names is taken\n")


def test_talk_goes_to_stderr_and_quiet_silences_it(place: Path) -> None:
    pgstead("init", "--name", "orders", directory=place)
    loud = pgstead("explain", directory=place)
    assert loud.err.startswith("hint: ")
    quiet = pgstead("-q", "explain", directory=place)
    assert (quiet.out, quiet.err) == (loud.out, "")


def test_doctor_says_what_is_missing_and_changes_nothing(place: Path) -> None:
    (place / "pgstead.toml").write_text(
        'version = 1\nname = "shop"\n[server]\nbindir = "nowhere"\n[[databases]]\nname = "shop"\n'
    )
    said = pgstead("doctor", directory=place)
    assert said.status == 1
    assert "\nMISSING  server.bindir is " in said.out
    assert "\n         hint: it is the directory that `pg_config --bindir` prints" in said.out
    told = json.loads(pgstead("doctor", "--json", directory=place).out)
    assert told["ok"] is False
    (finding,) = [f for f in told["findings"] if f["code"] == "server"]
    assert finding["ok"] is False
    assert [path.name for path in place.iterdir()] == ["pgstead.toml"]


def test_what_looks_or_stops_works_without_any_binaries(place: Path) -> None:
    (place / "pgstead.toml").write_text(
        'version = 1\nname = "shop"\n[server]\nbindir = "nowhere"\n[[databases]]\nname = "shop"\n'
    )
    status = pgstead("status", directory=place)
    assert status.status == 1
    assert "not on this machine" in status.out
    down = pgstead("down", directory=place)
    assert (down.status, down.out) == (0, 'stead "shop" was not running\n')
    destroyed = pgstead("destroy", "--yes", directory=place)
    assert (destroyed.status, destroyed.out) == (0, "there is nothing to destroy\n")
    assert [path.name for path in place.iterdir()] == ["pgstead.toml"]
