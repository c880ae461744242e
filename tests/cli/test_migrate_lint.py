"""`pgstead migrate lint`: what it says, and with which exit status it leaves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.program import pgstead
from tests.unit.lint.corpus.case import Body, revision
from tests.unit.lint.corpus.written import folder

MANIFEST = """\
version = 1
name = "shop"
environment = "development"
[server]
major = 18
port = 55432
[[databases]]
name = "shop"
migrations = "."
"""
TABLE = "CREATE TABLE account (id bigint PRIMARY KEY, note text)"
BACK = "op.execute('DROP INDEX IF EXISTS ix')"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Give a manifest with two revisions, of which the second hurts."""
    return project(tmp_path, ("CREATE INDEX ix ON account (note)",))


def project(place: Path, body: Body) -> Path:
    """Make a manifest, a revision that makes a table, and another one."""
    (place / "pgstead.toml").write_text(MANIFEST)
    first = revision("aa11", None, (TABLE,), 'op.drop_table("account")')
    return folder(place, {"aa11": first, "bb22": revision("bb22", "aa11", body, BACK)})


def test_a_dangerous_migration_is_refused_with_the_code_to_write(place: Path) -> None:
    said = pgstead("migrate", "lint", "--all", directory=place)
    assert said.status == 3
    assert "migrations/versions/bb22.py:" in said.out
    assert "error [index-not-concurrent]" in said.out
    assert "> CREATE INDEX ix ON account (note)" in said.out
    assert "breaks: SHARE blocks every write of account while the index is built" in said.out
    assert 'staged.create_index("ix", "account", ["note"])' in said.out
    assert "shop: 2 revisions: 1 error" in said.out


def test_a_harmless_history_passes(tmp_path: Path) -> None:
    said = pgstead("migrate", "lint", directory=project(tmp_path, ("SELECT 1",)))
    assert (said.status, said.out) == (0, "shop: 2 revisions: nothing found\n")
    assert "every revision is pending" in said.err


def test_only_what_comes_after_a_revision_is_judged(place: Path) -> None:
    said = pgstead("migrate", "lint", "shop", "--since", "bb", "--json", directory=place)
    assert said.status == 0
    told = json.loads(said.out)["shop"]
    assert told == {"clean": True, "revisions": [], "findings": [], "ignored": []}


def test_a_program_reads_all_of_a_finding(place: Path) -> None:
    said = pgstead("migrate", "lint", "--since", "aa11", "--json", directory=place)
    assert said.status == 3
    (found,) = json.loads(said.out)["shop"]["findings"]
    assert found["rule"] == "index-not-concurrent"
    assert found["level"] == "error"
    assert {"revision", "file", "line", "statement", "breaks", "safe", "code", "table"} <= set(
        found
    )


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("--since", "nope"), 2, "there is no revision 'nope'"),
        (("--since", "aa11", "--all"), 2, "exclude each other"),
        (("elsewhere", "--all"), 2, "no database `elsewhere`"),
        (("--all", "--against-live"), 1, "nothing was brought up here yet"),
    ],
)
def test_what_cannot_be_is_told_with_the_way_out(
    words: tuple[str, ...], status: int, said: str, place: Path
) -> None:
    answer = pgstead("migrate", "lint", *words, directory=place)
    assert answer.status == status
    assert said in answer.err
    assert "hint:" in answer.err


def test_a_revision_that_is_no_python_is_an_error_with_its_place(place: Path) -> None:
    (place / "migrations" / "versions" / "bb22.py").write_text("def upgrade(:\n")
    answer = pgstead("migrate", "lint", "--all", directory=place)
    assert answer.status == 1
    assert "bb22.py:1: SyntaxError" in answer.err
