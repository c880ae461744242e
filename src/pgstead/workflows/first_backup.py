"""The first base backup: made by the agent as soon as there is a new cluster."""

from __future__ import annotations

import time
from datetime import datetime

from pgstead.errors import SteadError
from pgstead.model.backup import Ending, Run, Task
from pgstead.ports import Ports
from pgstead.ports.backup import BackupPorts

_PATIENCE = 120.0  # seconds; a new cluster of 30 MB takes a few
_TRIES = 2  # as the agent tries


def await_first(ports: Ports, patience: float = _PATIENCE, *, since: datetime | None = None) -> str:
    """Wait until the first base backup is made and verified; return what to warn of, or nothing.

    A stead that is up is backed up. Whoever interrupts this wait stops nothing: the agent goes on.
    `since` is when the cluster began, where there were others before.
    """
    if ports.backup is None:
        return ""
    ports.progress.step("making the first base backup")
    end = time.monotonic() + patience
    while time.monotonic() < end:
        if (told := _told(ports.backup, since)) is not None:
            return told
        time.sleep(0.1)
    return f"the first base backup was not made and verified within {patience:.0f} s"


def _told(backup: BackupPorts, since: datetime | None) -> str | None:
    """Return nothing where it is done, its error where it failed for good, None while it runs."""
    try:
        runs = [r for r in backup.catalog.runs(limit=10) if since is None or r.begun >= since]
    except SteadError as error:
        return str(error)
    if any(run.task is Task.VERIFY and run.ending is Ending.DONE for run in runs):
        return ""
    failed: list[Run] = [run for run in runs if run.ending is Ending.FAILED]
    return f"the first base backup failed: {failed[0].error}" if len(failed) >= _TRIES else None
