"""Backups and restores while the server is at work: neither is in the other's way."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pgstead.host import processes, received
from pgstead.model.backup import BackupPlan, Target
from pgstead.ports.backup import BackupPorts
from pgstead.workflows import segments, verification
from tests.fix_stead import PGSTEAD, LiveStead

pytestmark = [pytest.mark.live, pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def stead(sealed: LiveStead) -> LiveStead:
    """A stead whose agent does nothing meanwhile, and that has nothing to spread."""
    sealed.wired.ports.supervisor.stop("agent")
    with sealed.superuser() as session:
        session.execute("CHECKPOINT")
    return sealed


@pytest.fixture
def backup(stead: LiveStead) -> BackupPorts:
    """What its backups work with."""
    found = stead.wired.ports.backup
    assert found is not None
    return found


def seen(stead: LiveStead, *arguments: str) -> tuple[int, str]:
    """Make a base backup; return how nice the program was that copied, and its command line."""
    with subprocess.Popen(
        [*PGSTEAD, "backup", "now", *arguments],
        cwd=stead.directory,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as made:
        found: tuple[int, str] | None = None
        while made.poll() is None:
            found = copying(stead) or found
            time.sleep(0.01)
        assert made.returncode == 0
    assert found is not None
    return found


def copying(stead: LiveStead) -> tuple[int, str] | None:
    """Return how nice the program is that copies this stead now, and its command line."""
    for process in processes.everyone():
        words = processes.arguments(process.pid)
        if process.name == "pg_basebackup" and any(str(stead.state) in word for word in words):
            try:
                return os.getpriority(os.PRIO_PROCESS, process.pid), " ".join(words)
            except ProcessLookupError:
                return None
    return None


def test_what_the_schedule_makes_takes_the_cpu_that_is_left_and_spreads_its_checkpoint(
    stead: LiveStead,
) -> None:
    nice, words = seen(stead, "--gentle")
    assert nice == 19
    assert "--checkpoint=fast" not in words
    plan = stead.wired.design.backup
    assert plan is not None
    assert 0 < plan.gentle_rate < plan.rate_limit
    assert f"--max-rate={plan.gentle_rate // 1024}" in words


def test_what_a_person_waits_for_is_made_at_once(stead: LiveStead) -> None:
    nice, words = seen(stead)
    assert nice == os.getpriority(os.PRIO_PROCESS, 0)
    assert "--checkpoint=fast" in words


def test_a_segment_that_is_sealed_while_a_restore_is_laid_out_is_restored_open(
    stead: LiveStead, backup: BackupPorts, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = received.copy_spool

    def late(plan: BackupPlan, into: Path, timeline: int) -> None:
        for _ in range(3):
            segments.close(stead.wired.ports)
        copied(plan, into, timeline)

    base = backup.engine.backups()[-1]
    place, staging = stead.directory / "laid-out", stead.directory / "staging"
    monkeypatch.setattr(received, "copy_spool", late)
    backup.engine.restore(base.name, place, Target(), staging=staging)
    laid_out = [path for path in Path(place, received.WAL).iterdir() if path.is_file()]
    heads = [path.read_bytes()[:32] for path in laid_out]
    assert len(heads) >= 4
    # the first page of a segment names its cluster (XLogLongPageHeaderData)
    assert {str(int.from_bytes(head[24:], sys.byteorder)) for head in heads} == {base.system_id}


def test_a_segment_that_is_completed_after_it_was_copied_open_is_not_asked_for_whole(
    stead: LiveStead, backup: BackupPorts, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = received.copy_spool

    def early(plan: BackupPlan, into: Path, timeline: int) -> None:
        copied(plan, into, timeline)
        # what was open becomes full of records, and is taken in
        with stead.superuser("jeex_idea") as session:
            rows = "SELECT repeat('x', 900) FROM generate_series(1, 30000)"
            session.execute(f"CREATE TABLE filler AS {rows}")
            session.execute("DROP TABLE filler")
        segments.close(stead.wired.ports)

    name = backup.engine.backups()[-1].name
    monkeypatch.setattr(received, "copy_spool", early)
    verified = verification.verify(stead.wired.ports, "test", name)
    assert verified.segments > 0


def test_a_backup_that_nobody_receives_the_wal_for_says_which_checks_refused_it(
    stead: LiveStead,
) -> None:
    supervisor = stead.wired.ports.supervisor
    supervisor.stop("wal-receiver")
    try:
        told = stead.run("backup", "now", status=1).stderr
    finally:
        supervisor.start("wal-receiver")
    assert "nobody receives the WAL" in told
    assert "Check 'replication slot' failed" in told
    assert "`pgstead logs wal-receiver`" in told
