"""What the agent begins with: nothing that fails there ends it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC
from types import SimpleNamespace
from typing import Any, cast

import pytest
from apscheduler.schedulers.background import BackgroundScheduler

from pgstead.agent import run
from pgstead.agent.long_work import LongWork
from pgstead.errors import StateDirectoryError
from pgstead.model.host import BackupTools
from tests.unit.design.world import composed, host

TOOLS = BackupTools("3.19.1", "/venv/bin/python", "/packages", "/usr/bin/rsync", "/usr/bin/gpg")


def test_a_catalog_that_cannot_be_used_is_told_and_the_jobs_are_scheduled_all_the_same(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def refused() -> int:
        raise StateDirectoryError("the catalog cannot be used", hint="free space")

    design = composed(machine=replace(host(), backup_tools=TOOLS))
    assert design.backup is not None
    backup = cast("Any", SimpleNamespace(catalog=SimpleNamespace(settle=refused)))
    scheduler = BackgroundScheduler(timezone=UTC, job_defaults={})  # never started
    work = LongWork(lambda: None)
    run._Backups(design, design.backup, cast("Any", None), backup, work).schedule(scheduler)
    assert len(scheduler.get_jobs()) >= 6
    assert "the catalog cannot be used" in caplog.text
