"""kill -9 of an upgrade in each of its phases: the next run finishes it, or takes it back."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pytest

from pgstead.model.backup import SERVER, Ending, Task
from tests.fix_stead import PGSTEAD, LiveStead
from tests.live.stairway import Stairway
from tests.live.upgrade.both import ask_for, servers_on, stead_of_two
from tests.live.upgrade.test_major import broken, version
from tests.waiting import until

pytestmark = [pytest.mark.live, pytest.mark.slow, pytest.mark.soak, pytest.mark.timeout(3600)]

PHASES = ("preparing", "upgrading", "swapping", "starting", "settling")


def phase_of(stead: LiveStead) -> str:
    try:
        return _pending(stead)["phase"]
    except (OSError, ValueError):
        return ""


def _pending(stead: LiveStead) -> dict[str, str]:
    return json.loads((stead.state / "upgrade" / "pending.json").read_text())


# how long after a phase began it is hit, in seconds at most
LONGEST = {"preparing": 3.0, "upgrading": 6.0, "settling": 3.0, "starting": 0.1}


@contextmanager
def upgrading(stead: LiveStead, phase: str, *how: str) -> Iterator[subprocess.Popen[str]]:
    """Have an upgrade run until a phase has begun; it may be over already."""
    running = subprocess.Popen(
        [*PGSTEAD, "upgrade", *how],
        cwd=stead.directory,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        while phase_of(stead) != phase and running.poll() is None:
            time.sleep(0.002)
        yield running
    finally:
        running.kill()
        running.communicate()


def killed_in(stead: LiveStead, phase: str, chance: random.Random, *, mode: str) -> bool:
    """Kill an upgrade in a phase, with all that it started or alone; say whether it was there."""
    with upgrading(stead, phase, "--unrehearsed", "--mode", mode) as running:
        time.sleep(chance.uniform(0, LONGEST.get(phase, 0.0)))
        there = running.poll() is None and phase_of(stead) == phase
        if chance.random() < 0.5 and running.poll() is None:
            os.killpg(running.pid, signal.SIGKILL)
    return there


def served_at_once(stead: LiveStead) -> set[Path]:
    """Return the data directories that have a server at the same moment.

    Looking takes its time: the one may have ended before the other began. Both that were there in
    two looks were there between them.
    """
    first = _served(stead)
    if len(set(first.values())) < 2:
        return set(first.values())
    second = _served(stead)
    return {place for pid, place in first.items() if second.get(pid) == place}


def _served(stead: LiveStead) -> dict[int, Path]:
    found = servers_on(stead.state / "server")
    return {pid: place for pid, place in found.items() if place.name.startswith("data")}


@contextmanager
def one_cluster_at_most(stead: LiveStead) -> Iterator[list[tuple[str, set[Path]]]]:
    """Look all the time which data directories have a server; never are there two.

    But for the new cluster while it is empty: initdb fills it, and pg_upgrade looks at it.
    """
    seen: list[tuple[str, set[Path]]] = []
    ended = threading.Event()

    def looking() -> None:
        while not ended.wait(0.05):
            phase, places = phase_of(stead), served_at_once(stead)
            if len(places) > 1 and phase == phase_of(stead) != "preparing":
                seen.append((phase, places))

    thread = threading.Thread(target=looking, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join()


@pytest.mark.parametrize("mode", ["copy", "link"])
@pytest.mark.parametrize("phase", PHASES)
def test_after_a_kill_the_next_run_finishes_or_goes_back(phase: str, mode: str) -> None:
    chance = random.Random(f"{phase} {mode}")
    with stead_of_two(17, 18, backup="true" if phase == "settling" else "false") as stead:
        stairs = Stairway(stead, "jeex_idea")
        stairs.fill()
        before = stairs.contents()
        ask_for(stead, 18)
        with one_cluster_at_most(stead) as both:
            there = killed_in(stead, phase, chance, mode=mode)
            print(f"{phase} {mode}: {'killed there' if there else 'too late'}")
            if phase_of(stead):
                refused = stead.run("up", status=1)
                assert "pgstead upgrade" in refused.stderr
            done = stead.run("upgrade", "--unrehearsed", "--mode", mode, timeout=600)
            assert "18." in done.stdout
        assert both == []
        stead.__dict__.pop("wired", None)
        assert version(stead).startswith("18.")
        assert Stairway(stead, "jeex_idea").contents() == before
        assert stead.json("plan")["operations"] == []
        assert phase_of(stead) == ""
        left = {p.name for p in (stead.state / "server").glob("data*")}
        assert "data.next" not in left
        assert broken(stead, "server") == []


def test_a_base_backup_that_was_made_after_the_kill_is_the_first_one() -> None:
    with stead_of_two(17, 18, backup="true") as stead:
        ask_for(stead, 18)
        repository = stead.state / "backup" / "repository"
        with upgrading(stead, "settling", "--unrehearsed") as running:
            # that of 17 has been set aside, and the agent is at work on another
            while not (next(repository.glob("before-18-*"), None) and _made_in(repository)):
                assert running.poll() is None, "it was over before it was killed"
                time.sleep(0.01)
            os.killpg(running.pid, signal.SIGKILL)
        assert phase_of(stead) == "settling"
        begun = datetime.fromisoformat(_pending(stead)["served"])
        until(lambda: _verified_since(stead, begun), "the agent did not go on")
        done = stead.json("upgrade", "--unrehearsed")
        assert [told for told in done["notes"] if "first base backup" in told] == []


def _made_in(repository: Path) -> bool:
    return any((repository / SERVER / "base").glob("*"))


def _verified_since(stead: LiveStead, begun: datetime) -> bool:
    backup = stead.wired.ports.backup
    assert backup is not None
    runs = backup.catalog.runs(Task.VERIFY)
    return any(run.ending is Ending.DONE and run.begun >= begun for run in runs)


@pytest.mark.parametrize("after", [0.0, 0.2, 0.5, 1.0])
def test_a_way_back_that_was_killed_is_gone_to_its_end(after: float) -> None:
    with stead_of_two(17, 18, backup="true") as stead:
        stairs = Stairway(stead, "jeex_idea")
        stairs.fill()
        before = stairs.contents()
        ask_for(stead, 18)
        stead.run("upgrade", "--unrehearsed", timeout=600)
        with one_cluster_at_most(stead) as both:
            with upgrading(stead, "returning", "--back") as running:
                time.sleep(after)
                os.killpg(running.pid, signal.SIGKILL)
            assert phase_of(stead) == "returning", "it was over before it was killed"
            assert "pgstead upgrade" in stead.run("up", status=1).stderr
            # the manifest says 18 still: it goes back all the same, and not up again
            assert "serves again" in stead.run("upgrade", "--unrehearsed", timeout=600).stdout
        assert both == []
        ask_for(stead, 17)
        assert version(stead).startswith("17.")
        assert Stairway(stead, "jeex_idea").contents() == before
        assert stead.json("plan")["operations"] == []
        assert stead.json("drill")["failed"] == []


def test_ctrl_c_has_the_old_version_serve_again_or_is_gone_on_with() -> None:
    with stead_of_two(17, 18) as stead:
        stairs = Stairway(stead, "jeex_idea")
        stairs.fill()
        before = stairs.contents()
        for phase in ("preparing", "upgrading", "starting"):
            ask_for(stead, 18)
            with one_cluster_at_most(stead) as both:
                told = interrupted_in(stead, phase)
            assert "interrupted" in told, phase
            assert both == []
            assert phase_of(stead) == "", phase
            assert not (stead.state / "server" / "data.next").exists()
            ask_for(stead, 17)
            assert version(stead).startswith("17."), phase
            assert stead.json("plan")["operations"] == []
            with stead.connect() as client:
                client.execute("SELECT 1")
        assert stairs.contents() == before
        ask_for(stead, 18)
        assert "interrupted" in interrupted_in(stead, "settling")
        stead.run("upgrade")
        stead.__dict__.pop("wired", None)
        assert version(stead).startswith("18.")
        assert Stairway(stead, "jeex_idea").contents() == before
        assert stead.json("plan")["operations"] == []


def interrupted_in(stead: LiveStead, phase: str) -> str:
    """Press Ctrl-C in a phase, as a terminal sends it: to all; return what the command says."""
    with upgrading(stead, phase, "--unrehearsed", "--mode", "copy") as running:
        time.sleep(0.0 if phase == "starting" else 1.0)  # that one is over in 0.3 s
        assert phase_of(stead) == phase, f"{phase} was over too early"
        os.killpg(running.pid, signal.SIGINT)
        _, told = running.communicate(timeout=300)
    assert running.returncode == 130, told
    return told
