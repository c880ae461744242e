"""Every supported major version: up, migrations down and up again with rows, prove."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from pgstead.plan.drift import drifts
from tests.fix_stead import CHECKOUT, MAJORS, LiveStead, stead_in
from tests.live.stairway import Stairway

pytestmark = [pytest.mark.live, pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module", params=MAJORS)
def version(request: pytest.FixtureRequest) -> Iterator[LiveStead]:
    with stead_in(major=request.param) as made:
        made.run("up")
        yield made


# The systems beside jeex_idea, in which the other tests of a version find enough.
MORE = "".join(
    f"""
[[databases]]
name = "{name}"
owner = "{name}_owner"
app = "{name}_app"
admin = "{name}_admin"
readonly = "{name}_readonly"
migrator = "{name}_migrator"
migrations = "systems/{name}"
models = "systems.{name}.models:Base"
prefix = "{prefix}"
[databases.pool]
size = 5
max_overflow = 0
timeout = "5s"
recycle = "14min"
"""
    for name, prefix in (("ai_agents", "AI_AGENTS_"), ("specgen", "SPECGEN_"))
)
SYSTEMS = ("jeex_idea", "ai_agents", "specgen")
# Whose rows walk in the suite; on the newest version all of them do, in the soak on every one.
TURNS = {15: ("jeex_idea",), 16: ("ai_agents",), 17: ("specgen",)}


@pytest.fixture(scope="module")
def whole(version: LiveStead) -> LiveStead:
    """Give the same stead with the databases of all systems."""
    version.manifest.write_text(version.manifest.read_text() + MORE)
    version.run("up", "--allow", "restart")
    version.__dict__.pop("wired", None)  # the design of one database, where a test asked for it
    return version


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


def walk_with_rows(stead: LiveStead, name: str) -> None:
    """Go down and up with a row in every table; on the newest version each revision alone too."""
    stairs = Stairway(stead, name)
    walks = [[stairs.revisions[-1]]]
    if stead.major == MAJORS[-1]:
        walks.append(stairs.revisions)
    for walk in walks:
        stairs.down("base")
        below, made = "base", stairs.definition()
        for revision in walk:
            stairs.up(revision)
            first = stairs.definition()
            stairs.fill()
            told, lost = stairs.down(below)
            assert told == lost, revision
            assert drifts(made, stairs.definition()) == (), revision
            assert stairs.definition() == made, revision
            stairs.up(revision)
            assert drifts(first, stairs.definition()) == (), revision
            assert stairs.definition() == first, revision
            below, made = revision, first


def test_with_rows_in_every_table_migrations_go_down_and_up_to_the_same(whole: LiveStead) -> None:
    for name in TURNS.get(whole.major, SYSTEMS):
        walk_with_rows(whole, name)


@pytest.mark.soak
@pytest.mark.parametrize("name", SYSTEMS)
def test_with_rows_every_system_goes_down_and_up_on_every_version(
    name: str, whole: LiveStead
) -> None:
    walk_with_rows(whole, name)


def test_after_that_everything_agrees_and_nothing_is_left_to_generate(whole: LiveStead) -> None:
    for name in SYSTEMS:
        Stairway(whole, name).fill()
    agreed = "".join(f"{name}: all agrees\n" for name in SYSTEMS)
    assert whole.run("migrate", "check").stdout == agreed
