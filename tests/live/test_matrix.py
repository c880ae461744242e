"""Every supported major version: up, migrations down and up again, prove."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.fix_stead import CHECKOUT, MAJORS, LiveStead, stead_in

pytestmark = [pytest.mark.live, pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module", params=MAJORS)
def version(request: pytest.FixtureRequest) -> Iterator[LiveStead]:
    with stead_in(major=request.param) as made:
        made.run("up")
        yield made


def alembic(stead: LiveStead, *arguments: str) -> str:
    """Run Alembic's own command in the system's folder."""
    done = subprocess.run(
        [sys.executable, "-m", "alembic", *arguments],
        cwd=CHECKOUT / "systems" / "jeex_idea",
        env={
            **os.environ,
            "PGSTEAD_CONNECTION": str(stead.state / "connections" / "jeex_idea.json"),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_server_is_of_the_version_that_the_manifest_asks_for(version: LiveStead) -> None:
    with version.superuser() as connection:
        row = connection.execute("SHOW server_version_num").fetchone()
    assert int(row["server_version_num"]) // 10000 == version.major


def test_a_second_up_changes_nothing_on_every_version(version: LiveStead) -> None:
    assert version.json("plan")["operations"] == []


def test_migrations_go_down_and_up_again_and_autogenerate_finds_nothing(
    version: LiveStead,
) -> None:
    assert "(head)" in alembic(version, "current")
    assert "(head)" in alembic(version, "history")
    alembic(version, "downgrade", "base")
    assert "(head)" not in alembic(version, "current")
    alembic(version, "upgrade", "head")
    assert "No new upgrade operations detected" in alembic(version, "check")


def test_prove_breaks_nothing_on_every_version(version: LiveStead) -> None:
    version.run("up")
    report = version.json("prove", status=None)
    broken = [p for p in report["promises"] if p["verdict"] == "broken"]
    assert broken == []
    assert version.run("prove", status=None).returncode == 0
