"""What a glance at the backups shows: how old, how proven, whether WAL arrives, what is wrong."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pgstead.errors import NotRunningError, SteadError
from pgstead.model.backup import BackupPlan, Ending, Run, Task
from pgstead.model.design import Design
from pgstead.ports import Ports
from pgstead.workflows import mirror_status
from pgstead.workflows.backup import proven
from pgstead.workflows.mirror_status import MirrorStatus

BAD = ("lost", "missing")  # states of a slot that only `up` mends
_TIGHT = 0.1  # of a file system that is free
_SLOT = """
    SELECT s.wal_status::text AS wal, r.pid IS NOT NULL AND r.state = 'streaming' AS streamed
    FROM pg_replication_slots AS s LEFT JOIN pg_stat_replication AS r ON r.pid = s.active_pid
    WHERE s.slot_name = %(slot)s
"""


@dataclass(frozen=True, slots=True)
class BackupStatus:
    """The backups as the catalog, the slot and the disk tell of them."""

    repository: str
    last: Run | None  # the last base backup that was made
    restore: Run | None  # the last one that a drill has proven
    streamed: bool | None  # WAL leaves the server; None where the server does not answer
    slot: str  # as pg_replication_slots.wal_status; empty where nobody knows
    notes: tuple[str, ...]  # what needs attention
    mirror: MirrorStatus | None = None  # None where no copy is kept elsewhere


def look(design: Design, ports: Ports, *, answers: bool) -> BackupStatus | None:
    """Look at the backups, at no cost; None where none are made. Calls no program."""
    plan, backup = design.backup, ports.backup
    if plan is None or backup is None:
        return None
    try:
        runs, failure = backup.catalog.runs(), ""
    except SteadError as error:
        runs, failure = (), str(error)
    done = [r for r in runs if r.task is Task.BACKUP and r.ending is Ending.DONE]
    last = done[0] if done else None
    streamed, slot = _slot(ports, plan) if answers else (None, "")
    notes = [failure] if failure else []
    notes += _of_runs(plan, runs, last)
    notes += _of_wal(slot, streamed=streamed)
    notes += _of_disk(design, plan)
    mirror = mirror_status.look(design, ports)
    notes += mirror.notes if mirror is not None else ()
    return BackupStatus(plan.repository, last, proven(runs), streamed, slot, tuple(notes), mirror)


def _slot(ports: Ports, plan: BackupPlan) -> tuple[bool | None, str]:
    try:
        with ports.sql.connect() as connection:
            row = connection.execute(_SLOT, {"slot": plan.slot}).fetchone()
    except NotRunningError:  # it answered a moment ago
        return None, ""
    return (False, "missing") if row is None else (bool(row["streamed"]), str(row["wal"] or ""))


def _of_runs(plan: BackupPlan, runs: tuple[Run, ...], last: Run | None) -> list[str]:
    notes: list[str] = []
    for task in (Task.BACKUP, Task.VERIFY, Task.DRILL):
        newest = next((r for r in runs if r.task is task and r.counts), None)
        if newest is not None and newest.ending is not Ending.DONE:
            notes.append(f"the last {task} {newest.ending}: {newest.error}")
    if last is None or last.ended is None:
        notes.append("no base backup was made yet: `pgstead backup now` makes one")
    elif datetime.now(UTC) - last.ended > timedelta(seconds=plan.max_age):
        notes.append(f"the last base backup is older than {timedelta(seconds=plan.max_age)}")
    return notes


def _of_wal(slot: str, *, streamed: bool | None) -> list[str]:
    if slot in BAD:
        words = f"the replication slot is {slot}, so WAL is missing from the repository"
        return [f"{words}; `pgstead up` makes it anew"]
    if streamed is False:
        return ["WAL is not streamed: `pgstead logs wal-receiver` shows why"]
    return []


def _of_disk(design: Design, plan: BackupPlan) -> list[str]:
    repository, data = Path(plan.repository), Path(design.layout.data)
    try:
        usage = shutil.disk_usage(repository)
        together = repository.stat().st_dev == data.stat().st_dev
    except OSError as error:
        return [f"the repository cannot be looked at: {error.strerror}: {repository}"]
    notes: list[str] = []
    told = usage.free / max(usage.total, 1)
    if told < _TIGHT:
        notes.append(f"the repository's file system is almost full: {told:.0%} are free")
    if together:
        notes.append(
            "the repository lies on the device of the data: it protects against mistakes, not"
            " against the loss of this disk (backup.directory names another place)"
        )
    return notes
