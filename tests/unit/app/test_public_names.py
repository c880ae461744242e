"""What `pgstead.app` gives to applications, and what it costs to ask for it."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from pgstead import app
from tools import reference

HEAVY = ("alembic", "asyncpg", "cryptography", "fastapi", "psycopg", "pydantic", "sqlalchemy")


def modules_after(statement: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"{statement}\nimport sys\nprint(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return {name.split(".")[0] for name in done.stdout.split()}


def test_importing_the_library_imports_no_driver_and_no_framework() -> None:
    assert modules_after("import pgstead.app").isdisjoint(HEAVY)


def test_models_need_no_http_and_no_driver() -> None:
    statement = "from pgstead.app import NAMING_CONVENTION, TYPES, Row, TenantScoped"
    assert modules_after(statement).isdisjoint({"asyncpg", "fastapi", "psycopg"})


def test_every_public_name_is_there_and_is_told_of_in_the_reference() -> None:
    assert sorted(name for names in app.HOMES.values() for name in names) == sorted(app.__all__)
    told = list(reference.public_names())
    assert sorted(name for _, name, _ in told) == sorted(app.__all__)
    assert [name for _, name, found in told if not reference.told_of(name, found)] == []


def test_type_checkers_see_the_names_where_they_are() -> None:
    tree = ast.parse(Path(app.__file__).read_text())
    seen = {
        node.module.removeprefix("pgstead.app."): {alias.name for alias in node.names}
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pgstead.app.")
        if node.module
    }
    assert seen == {module: set(names) for module, names in app.HOMES.items()}


def test_a_name_that_is_none_is_said_to_be_none() -> None:
    with pytest.raises(AttributeError, match=r"module 'pgstead\.app' has no attribute 'Datebase'"):
        _ = app.Datebase
