"""The agent by itself: the first backup, what was missed, and what was killed.

Nothing here waits for a clock: what was missed is made so in the catalog.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pgstead.model.backup import Ending, Run, Task
from pgstead.workflows import heartbeat
from tests.fix_stead import LiveStead, stead_in
from tests.waiting import until


def runs(stead: LiveStead, task: Task) -> tuple[Run, ...]:
    backup = stead.wired.ports.backup
    assert backup is not None
    return backup.catalog.runs(task)


def agent(stead: LiveStead) -> int:
    """Return the pid of the agent, 0 where there is none."""
    return stead.wired.ports.supervisor.states()["agent"].pid or 0


def miss_a_backup(stead: LiveStead) -> None:
    """Have all base backups be of long ago."""
    for info in (stead.state / "backup/repository/stead/meta").glob("*-backup.info"):
        lines = [
            "end_time=2020-01-01 00:00:00+00:00" if line.startswith("end_time=") else line
            for line in info.read_text().splitlines()
        ]
        info.write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def stead() -> Iterator[LiveStead]:
    with stead_in(backup="true") as made:
        made.run("up")
        yield made


def test_the_first_backup_is_made_and_verified_by_itself(stead: LiveStead) -> None:
    until(
        lambda: any(r.ending is Ending.DONE for r in runs(stead, Task.VERIFY)),
        "nothing was verified",
    )
    (made,) = runs(stead, Task.BACKUP)
    assert (made.cause, made.ending) == ("first", Ending.DONE)
    assert runs(stead, Task.VERIFY)[0].backup == made.backup
    # below /tmp, which is Barman's default, the first user of a machine keeps out all others
    assert (stead.state / "backup" / "cloud-staging").is_dir()


def test_an_agent_that_was_killed_comes_back_and_its_run_is_told_as_killed(
    stead: LiveStead,
) -> None:
    until(lambda: runs(stead, Task.VERIFY), "no first backup")
    before = agent(stead)
    # a run of its own that cannot end: its line is what a kill leaves
    backup = stead.wired.ports.backup
    assert backup is not None
    path = stead.wired.design.layout.backup_catalog
    with closing(sqlite3.connect(path, isolation_level=None, timeout=20)) as opened:
        pid, born = opened.execute(
            "SELECT pid, born FROM run WHERE cause = 'first' LIMIT 1"
        ).fetchone()
        assert pid == before
        opened.execute(
            "INSERT INTO run (task, begun, ending, cause, pid, born)"
            " VALUES ('export', '2026-01-01T00:00:00+00:00', 'running', 'test', ?, ?)",
            (pid, born),
        )
    os.kill(before, signal.SIGKILL)
    until(lambda: agent(stead) not in (0, before), "nobody started it again")
    until(lambda: runs(stead, Task.EXPORT)[0].ending is Ending.KILLED, "the run still runs")


def test_a_backup_that_was_missed_is_made_once(stead: LiveStead) -> None:
    until(
        lambda: any(r.ending is Ending.DONE for r in runs(stead, Task.VERIFY)),
        "nothing was verified",
    )
    stead.wired.ports.supervisor.stop("agent")
    miss_a_backup(stead)
    stead.wired.ports.supervisor.start("agent")
    until(
        lambda: any(r.cause == "missed" for r in runs(stead, Task.VERIFY) if r.ended),
        "what was missed was not made",
    )
    stead.wired.ports.supervisor.stop("agent")
    stead.wired.ports.supervisor.start("agent")
    until(lambda: agent(stead), "no agent")
    time.sleep(2)  # for a second one, which must not come
    assert [r.cause for r in runs(stead, Task.BACKUP)] == ["missed", "first"]
    assert {r.ending for r in runs(stead, Task.BACKUP)} == {Ending.DONE}


def test_a_backup_that_nobody_verified_is_verified_by_the_next_agent(stead: LiveStead) -> None:
    """As whoever was killed after it was made leaves one."""
    supervisor = stead.wired.ports.supervisor
    supervisor.stop("agent")
    stead.run("backup", "now")
    newest = runs(stead, Task.BACKUP)[0].backup
    assert runs(stead, Task.VERIFY)[0].backup != newest
    supervisor.start("agent")
    judged = until(
        lambda: next((r for r in runs(stead, Task.VERIFY) if r.backup == newest and r.ended), None),
        "nobody verified it",
    )
    assert (judged.cause, judged.ending) == ("missed", Ending.DONE)


@pytest.mark.soak
def test_an_agent_with_a_new_manifest_beats_on_until_its_backup_has_ended(stead: LiveStead) -> None:
    """Ten seconds lie between two beats."""
    ports, applied = stead.wired.ports, stead.wired.design.layout.applied
    backup = ports.backup
    assert backup is not None
    log = stead.state / "log" / "agent.log"
    until(lambda: runs(stead, Task.VERIFY), "nothing was verified")
    ports.supervisor.stop("agent")
    miss_a_backup(stead)
    with backup.turns.making(patience=60):  # as a backup of hours has it
        beats = heartbeat.look(ports.sql).rows
        ports.supervisor.start("agent")
        before = until(lambda: agent(stead), "no agent")
        # whoever beats has read the manifest
        until(lambda: heartbeat.look(ports.sql).rows > beats, "it does not beat")
        Path(applied).write_text(f"{Path(applied).read_text()}\n# changed\n")
        until(lambda: "begins anew when a missed backup has ended" in log.read_text(), "not seen")
        beats = heartbeat.look(ports.sql).rows
        until(lambda: heartbeat.look(ports.sql).rows > beats + 1, "nobody beats any more")
        assert agent(stead) == before
    until(lambda: agent(stead) not in (0, before), "the agent did not begin anew")
    assert runs(stead, Task.VERIFY)[0].cause == "missed"
