"""Incremental backups of the schedule, made as the agent makes them."""

from __future__ import annotations

from datetime import UTC
from typing import Any

import pytest
from apscheduler.schedulers.background import BackgroundScheduler

from pgstead.agent import run
from pgstead.agent.long_work import LongWork
from pgstead.model.backup import Ending, Task
from tests.fix_stead import LiveStead

pytestmark = [pytest.mark.live, pytest.mark.slow, pytest.mark.timeout(300)]


def test_an_incremental_backup_of_the_schedule_is_verified_too(plain: LiveStead) -> None:
    plain.wired.ports.supervisor.stop("agent")
    design, ports = plain.wired.design, plain.wired.ports
    assert design.backup is not None
    assert ports.backup is not None
    whole = plain.json("backup", "now")
    scheduler = BackgroundScheduler(timezone=UTC, job_defaults={})  # never started
    work = LongWork(lambda: None)
    run._Backups(design, design.backup, ports, ports.backup, work).schedule(scheduler)
    job: Any = next(job for job in scheduler.get_jobs() if job.id == "incremental")
    job.func()
    made = ports.backup.engine.backups()[-1]
    assert (made.kind, made.parent) == ("incremental", whole["name"])
    judged = ports.backup.catalog.runs(Task.VERIFY)[0]
    assert (judged.backup, judged.ending) == (made.name, Ending.DONE)
