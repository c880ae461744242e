"""kill -9 of whatever takes part in backups: nothing is lost or left, and the next run is right.

Counts are small here and full in soak.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.fix_stead import PGSTEAD, LiveStead
from tests.live.backup.ledger import differences, live_rows, restored_rows, written
from tests.live.test_crashes import pid_of, wait_until

pytestmark = [pytest.mark.live, pytest.mark.slow, pytest.mark.timeout(600)]

SUPERVISED = {"server": "postgres", "receiver": "wal-receiver", "agent": "agent"}
COMMANDS = {
    "backup": ("backup", "now"),
    "restore": ("restore", "--into", "killed-restore"),
    "drill": ("drill",),
}


def kill_supervised(stead: LiveStead, name: str, chance: random.Random) -> None:
    """Kill a supervised program at a random moment; it comes back by itself."""
    time.sleep(chance.uniform(0, 1))
    # the receiver goes with a server that was killed before, and rests before its next try
    wait_until(name, lambda: bool(stead.wired.ports.supervisor.states()[name].pid))
    before = pid_of(stead, name)
    os.kill(before, signal.SIGKILL)

    def back() -> bool:
        return stead.wired.ports.supervisor.states()[name].pid not in {None, before}

    wait_until(name, back)
    wait_until("the server", stead.wired.ports.sql.answers)


def kill_command(stead: LiveStead, arguments: tuple[str, ...], chance: random.Random) -> None:
    """Kill a command at a random moment, and only it."""
    running = subprocess.Popen(
        [*PGSTEAD, *arguments],
        cwd=stead.directory,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
    )
    try:
        running.wait(chance.uniform(0.3, 6))
    except subprocess.TimeoutExpired:
        running.kill()
        running.wait()
    shutil.rmtree(stead.directory / "killed-restore", ignore_errors=True)


def left_behind(stead: LiveStead) -> list[str]:
    """Return what of scratch lies about, and whose process does."""
    backup = Path(stead.wired.design.layout.backup)
    kinds = ("drill-*", "verify-*", "extract-*", ".*.restoring-*")
    found = [str(path) for kind in kinds for path in backup.rglob(kind)]
    found += [str(path) for path in stead.directory.glob(".*.restoring-*")]
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if any(str(backup) in word and "pg_basebackup" in words[0] for word in words):
            found.append(" ".join(words))
    return found


@pytest.mark.parametrize(
    "kills", [6, pytest.param(60, marks=[pytest.mark.soak, pytest.mark.timeout(7200)])]
)
def test_whatever_is_killed_the_next_run_is_right_and_nothing_is_left(
    sealed: LiveStead, tmp_path: Path, kills: int
) -> None:
    chance = random.Random(5)
    victims = [*SUPERVISED, *COMMANDS]
    sealed.run("backup", "now")
    with written(sealed, tmp_path / "journal") as ledger:
        for number in range(kills):
            victim = victims[number % len(victims)]
            if victim in SUPERVISED:
                kill_supervised(sealed, SUPERVISED[victim], chance)
            else:
                kill_command(sealed, COMMANDS[victim], chance)
            ledger.wait_for(20)
        sealed.run("backup", "now", "--verify")
        sealed.run("drill")
        history = ledger.stop()
    sealed.run("restore", "--into", str(sealed.directory / "killed-restore-2"))
    found = restored_rows(sealed, sealed.directory / "killed-restore-2")
    assert differences(found, history.acknowledged, history.open) == []
    assert differences(live_rows(sealed), history.acknowledged, history.open) == []
    _settled(sealed)


def _settled(stead: LiveStead) -> None:
    """The catalog tells of each run how it ended, and the repository holds whole backups only."""
    # what a killed one left beside its directory is swept by the next one to the same
    stead.run("restore", "--into", "killed-restore")
    ports = stead.wired.ports.backup
    assert ports is not None
    ports.catalog.settle()
    open_ones = [r for r in ports.catalog.runs() if r.ending == "running"]
    assert [run for run in open_ones if run.cause == "command"] == []
    assert {b["state"] for b in stead.json("backup", "list")["backups"]} == {"done"}
    assert left_behind(stead) == []
