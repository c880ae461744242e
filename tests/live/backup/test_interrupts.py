"""Ctrl-C at the command line: nothing half done is left, it is told, and the next run is right.

A terminal sends SIGINT to everything in the foreground; `kill -INT` sends it to the command alone.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from pgstead.model.backup import Ending, Task
from tests.fix_stead import PGSTEAD, LiveStead
from tests.live.backup.test_kills import left_behind

pytestmark = [pytest.mark.live, pytest.mark.slow, pytest.mark.timeout(600)]

INTO = "interrupted-restore"
COMMANDS = {
    Task.BACKUP: (("backup", "now"), "making a base backup"),
    Task.VERIFY: (("backup", "verify"), "laying out"),
    Task.DRILL: (("drill",), "replaying WAL"),
    Task.RESTORE: (("restore", "--into", INTO), "laying out"),
}


def interrupted(
    stead: LiveStead, task: Task, *further: str, after: float, alone: bool
) -> subprocess.CompletedProcess[str]:
    """Run a command and stop it so many seconds after it tells of its long step."""
    arguments, step = COMMANDS[task]
    arguments = (*arguments, *further)
    said: list[str] = []
    with subprocess.Popen(
        [*PGSTEAD, *arguments],
        cwd=stead.directory,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as running:
        assert running.stderr is not None
        for line in running.stderr:
            said.append(line)
            if step in line:
                break
        time.sleep(after)
        if alone:
            running.send_signal(signal.SIGINT)
        else:
            os.killpg(running.pid, signal.SIGINT)
        said.append(running.stderr.read())
        status = running.wait(120)
    return subprocess.CompletedProcess(arguments, status, "", "".join(said))


def at_work_below(place: Path) -> list[str]:
    """Return the command lines that name something below a place; supervised ones left out."""
    found: list[str] = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        line = " ".join(words)
        if str(place) in line and "receive" not in line and "pgstead.cli.agent" not in line:
            found.append(line)
    return found


def settled(stead: LiveStead, task: Task, *, ended: bool) -> None:
    """Nothing is left of a run that was interrupted, and the catalog says how it ended."""
    ports = stead.wired.ports.backup
    assert ports is not None
    run = next(r for r in ports.catalog.runs(task) if r.cause == "command")
    allowed = {Ending.INTERRUPTED} if not ended else {Ending.INTERRUPTED, Ending.DONE}
    assert run.ending in allowed, run
    assert run.ending is Ending.DONE or run.error == "interrupted"
    assert left_behind(stead) == []
    assert at_work_below(Path(stead.wired.design.layout.backup)) == []
    assert not (stead.directory / INTO).exists() or run.ending is Ending.DONE


@pytest.fixture(scope="module")
def quiet(sealed: LiveStead) -> LiveStead:
    """A stead with a base backup, whose agent does nothing meanwhile."""
    ports = sealed.wired.ports.backup
    assert ports is not None
    end = time.monotonic() + 240
    while not any(r.ending is Ending.DONE for r in ports.catalog.runs(Task.VERIFY)):
        assert time.monotonic() < end, sealed.log_tail()
        time.sleep(0.1)
    sealed.wired.ports.supervisor.stop("agent")
    return sealed


@pytest.mark.parametrize(
    "task",
    [
        Task.BACKUP,
        Task.DRILL,
        pytest.param(Task.VERIFY, marks=pytest.mark.soak),
        pytest.param(Task.RESTORE, marks=pytest.mark.soak),
    ],
)
def test_what_is_interrupted_leaves_nothing_and_says_so(quiet: LiveStead, task: Task) -> None:
    done = interrupted(quiet, task, after=0.2, alone=task in (Task.BACKUP, Task.RESTORE))
    assert done.returncode == 130, done.stderr
    assert "interrupted; what it had begun is removed" in done.stderr
    assert "Traceback" not in done.stderr
    settled(quiet, task, ended=False)


@pytest.mark.parametrize("alone", [True, False], ids=["kill", "terminal"])
def test_what_runs_gently_in_a_session_of_its_own_is_interrupted_as_well(
    quiet: LiveStead, *, alone: bool
) -> None:
    done = interrupted(quiet, Task.BACKUP, "--gentle", after=0.5, alone=alone)
    assert done.returncode == 130, done.stderr
    assert "interrupted; what it had begun is removed" in done.stderr
    settled(quiet, Task.BACKUP, ended=False)


def test_after_interrupts_the_next_runs_pass_and_none_of_them_counts_as_a_failure(
    quiet: LiveStead,
) -> None:
    interrupted(quiet, Task.BACKUP, after=0.1, alone=False)
    told = quiet.run("status", status=None).stdout
    assert "the last backup" not in told
    quiet.run("backup", "now", "--verify")
    quiet.run("drill")
    listed = quiet.json("backup", "list")
    assert {b["state"] for b in listed["backups"]} == {"done"}
    assert listed["success"]["backup"]["rate"] == 1.0


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_wherever_it_is_interrupted_nothing_is_left(quiet: LiveStead) -> None:
    chance = random.Random(7)
    for _ in range(60):
        task = chance.choice(list(COMMANDS))
        gently = ["--gentle"] if task is Task.BACKUP and chance.random() < 0.5 else []
        alone, after = chance.random() < 0.5, chance.uniform(0, 4)
        done = interrupted(quiet, task, *gently, after=after, alone=alone)
        # a Python that is leaving has given SIGINT back: it is ended by the signal, its work done
        assert done.returncode in (0, 130, -signal.SIGINT), done.stderr
        assert "Traceback" not in done.stderr
        settled(quiet, task, ended=True)
        if (quiet.directory / INTO).exists():
            subprocess.run(["rm", "-r", str(quiet.directory / INTO)], check=True)
    quiet.run("backup", "now", "--verify")
    quiet.run("drill")
