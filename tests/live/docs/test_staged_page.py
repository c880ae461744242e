"""The how-to of changes in stages: each of its revisions is run, both ways, and looked at."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from pgstead.app import staged
from tests.fix_stead import CHECKOUT
from tests.live.migrate.project import Project
from tests.live.migrate.staging import schema_of
from tests.live.scratch import Scratch, running_server

PAGE = CHECKOUT / "docs/how-to/change-tables-in-stages.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NUMBERED = "SELECT n, 'r' || n, n % 5 + 1, n / 100.0, n, 'x' FROM generate_series(1, 50) AS n"
ROWS = ("INSERT INTO customers SELECT generate_series(1, 5)", f"INSERT INTO orders {NUMBERED}")


@pytest.fixture(scope="module")
def scratch() -> Iterator[Scratch]:
    """Give a server."""
    with running_server() as running:
        yield running


def test_every_helper_does_what_the_page_says(scratch: Scratch, tmp_path: Path) -> None:
    project = Project(scratch, tmp_path / "project", "shop")
    blocks = [(match[1], match[2]) for match in BLOCK.finditer(PAGE.read_text())]
    (tables,) = (text for language, text in blocks if language == "sql")
    project.sql("page00", *tables.strip().rstrip(";").split(";\n"), *ROWS)
    revisions = [text for language, text in blocks if language == "python"]
    for number, text in enumerate(revisions, start=1):
        name, parent = f"page{number:02}", f"page{number - 1:02}"
        (project.versions / f"{name}.py").write_text(
            f'"""Of the page."""\n\n{text}\n\nrevision = {name!r}\ndown_revision = {parent!r}\n'
            "branch_labels = None\ndepends_on = None\n"
        )
    project.alembic("upgrade", "page00")
    before = schema_of(project, "orders")
    assert "nothing found" in project.pgstead("lint", "shop", "--since", "page00").out
    project.up()
    after = schema_of(project, "orders")
    assert "column price_cents bigint true" in after
    project.alembic("downgrade", "page00")
    assert sorted(schema_of(project, "orders")) == sorted(before)
    project.up()
    assert sorted(schema_of(project, "orders")) == sorted(after)
    # the last column is being replaced: its trigger is no drift
    manifest = project.folder / "pgstead.toml"
    found = f'major = 18\nbindir = "{scratch.binaries}"'
    manifest.write_text(manifest.read_text().replace("major = 18", found))
    said = project.pgstead("check", "shop", status=3).out
    # this server was made by hand, and has other grants than one of `pgstead up`
    assert set(re.findall(r"drift: (\w+) ", said)) <= {"database", "extension", "grants"}


def test_no_helper_is_left_out() -> None:
    shown = PAGE.read_text()
    helpers = [name for name in staged.__all__ if not name.endswith("Error")]
    assert [name for name in helpers if f"staged.{name}" not in shown] == []
