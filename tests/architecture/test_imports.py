"""Who imports whom, as pyproject.toml says it and as the interpreter sees it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]


def imported_by(statement: str) -> set[str]:
    """Return the modules that a fresh interpreter holds after a statement."""
    code = f"import json, sys\n{statement}\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True
    )
    return set(json.loads(done.stdout))


def test_every_import_contract_is_kept(tmp_path: Path) -> None:
    # Not by script: an interpreter line cannot quote every path that a checkout may have.
    lint = "from importlinter.cli import lint_imports_command as lint; lint()"
    done = subprocess.run(
        [sys.executable, "-c", lint, "--no-cache", "--config", CHECKOUT / "pyproject.toml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_an_application_does_not_load_the_toolbox() -> None:
    """`pgstead.app` lives in web processes; what it drags along costs memory in each of them."""
    loaded = imported_by("import pgstead.app")
    toolbox = {"click", "rich", "supervisor", "psycopg"} | {
        f"pgstead.{stage}"
        for stage in ("manifest", "design", "plan", "render", "observe", "apply", "host", "cli")
    }
    assert loaded & toolbox == set()


@pytest.mark.parametrize(
    "heavy", ["pydantic", "sqlalchemy", "alembic", "fastapi", "cryptography", "postgast"]
)
def test_the_command_line_starts_without(heavy: str) -> None:
    """`pgstead --help` answers within 150 ms because commands import their stage when they run."""
    assert heavy not in imported_by("import pgstead.cli.main")


@pytest.mark.parametrize("stage", ["model", "manifest", "design", "plan", "render", "lint.judge"])
def test_a_pure_stage_loads_no_driver(stage: str) -> None:
    assert imported_by(f"import pgstead.{stage}") & {"psycopg", "asyncpg", "sqlalchemy"} == set()
