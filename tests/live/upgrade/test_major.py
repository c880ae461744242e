"""Major upgrades with the data of all systems: rehearsed, done, equal, proven, and taken back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.fix_stead import LiveStead
from tests.live.stairway import Contents, Stairway
from tests.live.test_matrix import MORE, SYSTEMS
from tests.live.upgrade.both import ask_for, stead_of_two

pytestmark = [pytest.mark.live, pytest.mark.slow, pytest.mark.timeout(1800)]


def broken(stead: LiveStead, *which: str) -> list[str]:
    report = stead.json("prove", *which, status=None)
    return [f"{p['code']}: {p['reason']}" for p in report["promises"] if p["verdict"] == "broken"]


def rows(stead: LiveStead) -> Mapping[str, Contents]:
    return {name: Stairway(stead, name).contents() for name in SYSTEMS}


def version(stead: LiveStead) -> str:
    with stead.superuser() as connection:
        row = connection.execute("SHOW server_version").fetchone()
    return row["server_version"].split()[0]


@pytest.mark.soak
@pytest.mark.parametrize("old", [15, 16, 17])
def test_all_systems_are_taken_to_18_and_back_with_all_that_they_hold(old: int) -> None:
    with stead_of_two(old, 18, backup="true", extra=MORE) as stead:
        for name in SYSTEMS:
            Stairway(stead, name).fill()
            with stead.superuser(name) as connection:
                connection.execute("ANALYZE")
        # rows that are made up are sealed by the ring alone: now persons get secrets of their own
        for name in ("ai_agents", "specgen"):
            stead.run("keys", "rotate", name)
        before = rows(stead)
        was = version(stead)
        ask_for(stead, 18)
        told = stead.json("upgrade", "--rehearse")
        assert told["rehearsed"]["differences"] == []
        kept, of = told["rehearsed"]["statistics"]
        assert kept == of > 0
        done = stead.json("upgrade")
        print(f"{old}: {done['downtime']} s, predicted {done['predicted']} s: {done['seconds']}")
        print(f"rehearsed: {told['rehearsed']['seconds']}, {told['rehearsed']['statistics']}")
        assert version(stead).startswith("18.")
        assert rows(stead) == before
        assert stead.json("plan")["operations"] == []
        drilled = stead.json("drill")
        assert (drilled["failed"], drilled["lost_rows"]) == ([], 0)
        stead.run("retention", "run")  # a row of every table is one of some that are too old, too
        assert broken(stead) == []
        stead.run("upgrade", "--back")
        ask_for(stead, old)
        assert version(stead) == was
        assert rows(stead) == before
        assert stead.json("plan")["operations"] == []
        assert stead.json("drill")["failed"] == []
        assert broken(stead, "server", "backup") == []


def test_a_stead_of_17_becomes_one_of_18_by_links() -> None:
    with stead_of_two(17, 18) as stead:
        with stead.superuser("jeex_idea") as connection:
            connection.execute("CREATE TABLE kept AS SELECT 41 AS n")
        ask_for(stead, 18)
        done = stead.json("upgrade", "--mode", "link", "--unrehearsed")
        assert (done["from"][:3], done["to"][:3]) == ("17.", "18.")
        assert done["way_back"].startswith("none once")
        assert version(stead).startswith("18.")
        with stead.connect() as client:
            client.execute("SELECT 1")
        with stead.superuser("jeex_idea") as connection:
            assert connection.execute("SELECT n FROM kept").fetchall() == [{"n": 41}]
            connection.execute("DROP TABLE kept")
        assert stead.json("plan")["operations"] == []
        assert not Path(stead.state, "upgrade", "pending.json").exists()


@pytest.mark.soak
@pytest.mark.parametrize("mode", ["link", "copy"])
def test_what_was_copied_goes_back_and_what_was_linked_does_not(mode: str) -> None:
    with stead_of_two(17, 18) as stead:
        Stairway(stead, "jeex_idea").fill()
        before = Stairway(stead, "jeex_idea").contents()
        ask_for(stead, 18)
        stead.run("upgrade", "--mode", mode, "--unrehearsed")
        assert Stairway(stead, "jeex_idea").contents() == before
        back = stead.run("upgrade", "--back", status=1 if mode == "link" else 0)
        if mode == "link":
            assert "has the same files" in back.stderr
            return
        ask_for(stead, 17)
        assert version(stead).startswith("17.")
        assert Stairway(stead, "jeex_idea").contents() == before
