"""What `upgrade --target compose` does when it is asked from inside.

An engine beside the test writes down what it is told; real ones are tried in
tests/live/containers/test_upgrade.py.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from pgstead.cli import composed_upgrade
from pgstead.cli.elsewhere import Line
from pgstead.errors import UsageError
from tests.cli.test_composed_up import engine

STARTED = "up --detach --no-deps --no-recreate"
CONFIG = '{"services": {"postgres": {"image": "x:1"}}}'


@pytest.fixture(name="asked")
def _asked(tmp_path: Path) -> tuple[composed_upgrade._Upgrade, Path]:
    said = tmp_path / "said"
    words = {
        "--services": "echo agent postgres wal-receiver",
        "config": f"echo '{CONFIG}'",
        "no-start": f'echo "$*" >>{said}',
        "detach": f'echo "$*" >>{said}',
        "stop": f'echo "$*" >>{said}',
        "run": f'echo "$*" >>{said}',
        "rm": f'echo "$*" >>{said}',
    }
    (tmp_path / "compose.yml").write_text("the older one\n")
    work = composed_upgrade._Upgrade(engine(tmp_path, **words), tmp_path, 18, "x-upgrade")
    work.keep()
    (tmp_path / "compose.yml").write_text("the newer one\n")
    return work, said


def _commands(said: Path) -> list[str]:
    """Return what the engine was told, without where it was."""
    lines = said.read_text().splitlines()
    return [" ".join(line.split()[3:]) for line in lines]


def test_the_receiver_is_stopped_after_the_server(
    asked: tuple[composed_upgrade._Upgrade, Path],
) -> None:
    work, said = asked
    assert work.obey("stop postgres 17") == "done"
    assert _commands(said) == ["stop --timeout 600 postgres", "stop wal-receiver"]


def test_the_server_is_made_anew_for_the_newer_version(
    asked: tuple[composed_upgrade._Upgrade, Path],
) -> None:
    work, said = asked
    assert work.obey("start postgres 18") == "done"
    assert _commands(said)[-1] == f"{STARTED} postgres"


def test_the_older_server_is_started_as_it_is_where_nothing_was_made_anew(
    asked: tuple[composed_upgrade._Upgrade, Path],
) -> None:
    work, said = asked
    assert work.obey("start postgres 17") == "done"
    assert _commands(said) == [f"{STARTED} postgres", f"{STARTED} wal-receiver"]


def test_the_older_server_comes_back_by_what_it_ran_by(
    asked: tuple[composed_upgrade._Upgrade, Path],
) -> None:
    work, said = asked
    work.obey("start postgres 18")
    assert work.obey("start postgres 17") == "done"
    assert work.compose.read_text() == "the older one\n"
    assert _commands(said)[-2:] == [
        f"{STARTED} postgres",
        f"{STARTED} wal-receiver",
    ]


def test_what_a_killed_run_kept_is_what_the_older_version_runs_by(
    asked: tuple[composed_upgrade._Upgrade, Path],
) -> None:
    work, _ = asked
    work.keep()
    assert work.before.read_text() == "the older one\n"


def test_the_engine_is_tried_on_a_container_of_which_nothing_is_left(
    asked: tuple[composed_upgrade._Upgrade, Path],
) -> None:
    work, said = asked
    word, seconds = work.obey("try postgres 0").split()
    assert word == "done"
    assert float(seconds) > 0
    left, made, stopped, removed = (line.split() for line in said.read_text().splitlines())
    assert {"run", "--detach", "--no-deps", "x-upgrade-trial", "provision"} <= {*made}
    assert stopped == ["stop", "x-upgrade-trial"]
    assert left == removed == ["rm", "--force", "x-upgrade-trial"]


def test_an_engine_that_makes_no_container_is_told_inside(tmp_path: Path) -> None:
    refusing = engine(tmp_path, run="echo no room >&2; exit 1", rm="true")
    work = composed_upgrade._Upgrade(refusing, tmp_path, 18, "x-upgrade")
    told = work.obey("try postgres 0")
    assert told == "failed a container like that of provision cannot be made: no room"


def test_what_the_engine_refuses_is_told_inside(tmp_path: Path) -> None:
    refusing = engine(tmp_path, stop="exit 1", ps="true")
    work = composed_upgrade._Upgrade(refusing, tmp_path, 18, "x-upgrade")
    assert work.obey("stop postgres 17").startswith("failed docker compose up ended with 1")


def test_how_it_ended_is_told_from_inside(asked: tuple[composed_upgrade._Upgrade, Path]) -> None:
    work, _ = asked
    assert work.status is None
    work.obey("ended 3 0")
    assert work.status == 3


@pytest.mark.parametrize(
    ("words", "hint"), [(("upgrade",), "another image"), (("upgrade", "--back"), "--back")]
)
def test_a_version_that_is_there_already_is_no_upgrade(words: tuple[str, ...], hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        composed_upgrade._must_differ(Line("compose", None, words), 18, 18, pending=False)
    assert hint in caught.value.hint


def test_what_was_killed_is_gone_on_with_whatever_the_version() -> None:
    composed_upgrade._must_differ(Line("compose", None, ("upgrade",)), 18, 18, pending=True)
