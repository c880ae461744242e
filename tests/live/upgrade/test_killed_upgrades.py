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
from pathlib import Path

import pytest

from tests.fix_stead import PGSTEAD, LiveStead
from tests.live.stairway import Stairway
from tests.live.upgrade.both import ask_for, servers_on, stead_of_two
from tests.live.upgrade.test_major import broken, version

pytestmark = [pytest.mark.live, pytest.mark.slow, pytest.mark.soak, pytest.mark.timeout(3600)]

# phase, and how it comes to be killed: with all that it started, or alone
PHASES = ("preparing", "upgrading", "swapping", "starting", "settling")


def phase_of(stead: LiveStead) -> str:
    try:
        return json.loads((stead.state / "upgrade" / "pending.json").read_text())["phase"]
    except (OSError, ValueError):
        return ""


def killed_in(stead: LiveStead, phase: str, chance: random.Random, *, mode: str) -> bool:
    """Kill an upgrade in a phase; say whether it was there in time."""
    running = subprocess.Popen(
        [*PGSTEAD, "upgrade", "--unrehearsed", "--mode", mode],
        cwd=stead.directory,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        while phase_of(stead) != phase:
            if running.poll() is not None:
                return False
            time.sleep(0.002)
        longest = {"preparing": 3.0, "upgrading": 6.0, "settling": 3.0, "starting": 0.5}
        time.sleep(chance.uniform(0, longest.get(phase, 0.0)))
        return running.poll() is None and phase_of(stead) == phase
    finally:
        if chance.random() < 0.5 and running.poll() is None:
            os.killpg(running.pid, signal.SIGKILL)
        running.kill()
        running.wait()


def served(stead: LiveStead) -> set[Path]:
    """Return the data directories that a server works in."""
    places = set[Path]()
    for pid in servers_on(stead.state / "server"):
        try:
            place = Path(f"/proc/{pid}/cwd").resolve()
        except OSError:
            continue
        if place.name.startswith("data"):
            places.add(place)
    return places


@contextmanager
def one_cluster_at_most(stead: LiveStead) -> Iterator[list[tuple[str, set[Path]]]]:
    """Look all the time which data directories have a server; never are there two.

    But for the new cluster while it is empty: initdb fills it, and pg_upgrade looks at it.
    """
    seen: list[tuple[str, set[Path]]] = []
    ended = threading.Event()

    def looking() -> None:
        while not ended.wait(0.05):
            phase = phase_of(stead)
            places = served(stead)
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
