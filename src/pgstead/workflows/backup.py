"""Base backups: made, verified, let go. Each run is written down before it begins."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from datetime import UTC, datetime

from pgstead.errors import BackupError, SteadError
from pgstead.model.backup import BackupPlan, Ending, Run, State, StoredBackup, Task
from pgstead.model.design import Design
from pgstead.plan import retention
from pgstead.ports import Ports
from pgstead.ports.backup import BackupPorts
from pgstead.workflows import pace, soundness
from pgstead.workflows.receiver import await_receiver, missing
from pgstead.workflows.runs import Record
from pgstead.workflows.runs import recorded as kept

PATIENCE = 6 * 3600.0  # seconds to wait for another backup, verification or drill
_BEGUN = 15.0  # seconds for a receiver that has just been started
_ARRIVAL = 60.0  # seconds for WAL to reach the repository


def ports_of(ports: Ports) -> BackupPorts:
    """Return what backups work with. Raises BackupError where none are made."""
    if ports.backup is None:
        raise BackupError(
            "this stead makes no backups",
            hint="[backup] enabled = true in the manifest, then `pgstead up`",
        )
    return ports.backup


def recorded(
    backup: BackupPorts, task: Task, cause: str, name: str = ""
) -> AbstractContextManager[Record]:
    """Keep a run in the catalog, however it ends."""
    return kept(backup.catalog, task, cause, name)


def make(ports: Ports, cause: str, *, parent: str = "", gentle: bool = False) -> StoredBackup:
    """Make a base backup, and wait until all WAL that it needs is in the repository.

    A gentle one is slower and felt less: nobody waits for what the schedule makes. What an earlier
    run left half-made is removed first.
    """
    backup = ports_of(ports)
    with (
        backup.turns.making(patience=PATIENCE),
        recorded(backup, Task.BACKUP, cause) as record,
    ):
        remove_remains(backup)
        received = await_receiver(ports)
        if received:
            _have_wal(ports, backup)
        try:
            record.backup = _made(ports, backup, parent, gentle=gentle)
        except BaseException as error:
            with suppress(SteadError):  # the next run tries again; this one's error is told
                remove_remains(backup)
            if isinstance(error, BackupError) and not received:
                raise missing(error) from error
            raise
        found = _settled(backup, record.backup)
        record.detail |= {
            **soundness.facts(found),
            "kind": found.kind,
            "sums": dict(backup.engine.sums(found.name)),
        }
        backup.vault.keep_manifest()
        return found


def _made(ports: Ports, backup: BackupPorts, parent: str, *, gentle: bool) -> str:
    """Have the engine make one, as large as the last and as fast, as far as is known."""
    runs = backup.catalog.runs(Task.BACKUP, limit=20)
    last = next((run.detail for run in runs if run.ending is Ending.DONE), dict[str, object]())
    size, cluster = last.get("size"), last.get("cluster_size")
    expected = pace.usual(backup, Task.BACKUP, cluster) if isinstance(cluster, int) else None
    with pace.Pace(ports.progress, expected).step(
        "making a base backup",
        backup.engine.being_made,
        size if isinstance(size, int) else 0,
    ):
        return backup.engine.backup(parent=parent, gentle=gentle)


_SWITCH = "SELECT pg_switch_wal()"
_NEXT = "SELECT pg_walfile_name(pg_logical_emit_message(true, 'pgstead', 'first')) AS name"


def _have_wal(ports: Ports, backup: BackupPorts) -> None:
    """Have a first segment archived: Barman makes no base backup before.

    Left to itself it closes one and waits, and a segment counts as whole when the next has begun:
    on a server where nobody writes that takes until the agent's next row.
    """
    if backup.engine.backups():
        return
    with ports.sql.connect() as connection:
        connection.execute(_SWITCH)
        row = connection.execute(_NEXT).fetchone()
    assert row is not None
    end = time.monotonic() + _BEGUN
    while row["name"] not in backup.files.names() and time.monotonic() < end:
        time.sleep(0.05)
    backup.engine.archive()


def _settled(backup: BackupPorts, name: str) -> StoredBackup:
    """Return the backup when its WAL has arrived."""
    end = time.monotonic() + _ARRIVAL
    while (found := backup.engine.show(name)).state is State.WAITING and time.monotonic() < end:
        backup.engine.archive()
        time.sleep(0.5)
    if found.state is not State.DONE:
        raise BackupError(
            f"the base backup {name} is {found.state}: {found.error or 'its WAL did not arrive'}",
            hint="`pgstead logs wal-receiver` shows what the receiver of WAL says",
        )
    return found


def remove_remains(backup: BackupPorts) -> tuple[str, ...]:
    """Remove what killed or failed runs left in the repository; return the names."""
    backup.engine.end_orphans()
    remains = [b.name for b in backup.engine.backups() if b.state in (State.RUNNING, State.FAILED)]
    for name in remains:
        backup.engine.delete(name)
    return tuple(remains)


def newest(backup: BackupPorts) -> StoredBackup:
    """Return the newest base backup that is done. Raises BackupError where there is none."""
    done = [found for found in backup.engine.backups() if found.state is State.DONE]
    if not done:
        raise BackupError(
            "there is no base backup yet", hint="`pgstead backup now` makes one; the agent too"
        )
    return done[-1]


def proven(runs: tuple[Run, ...]) -> Run | None:
    """Return the last drill that passed."""
    return next((r for r in runs if r.task is Task.DRILL and r.ending is Ending.DONE), None)


def expire(
    design: Design, ports: Ports, cause: str, *, rehearse: bool = False, force: bool = False
) -> tuple[str, ...]:
    """Let go of base backups that no moment of the retention needs; return their names.

    The last one that a drill has proven stays whatever its age, and so do the newest `minimum`.
    Raises BackupError where a clock seems to have jumped, unless forced.
    """
    backup = ports_of(ports)
    assert design.backup is not None
    with backup.turns.letting_go(patience=PATIENCE):
        return _expire(design.backup, backup, cause, rehearse=rehearse, force=force)


def _expire(
    plan: BackupPlan, backup: BackupPorts, cause: str, *, rehearse: bool, force: bool
) -> tuple[str, ...]:
    done = [found for found in backup.engine.backups() if found.state is State.DONE]
    last = proven(backup.catalog.runs(Task.DRILL))
    decided = retention.expiry(
        done,
        datetime.now(UTC),
        days=plan.retention,
        minimum=plan.minimum,
        proven="" if last is None else last.backup,
        trusting=force,
    )
    if decided.refused:
        raise BackupError(
            f"no base backup is let go of: {decided.refused}",
            hint="look at the clock; if it is right, `pgstead backup expire --force`",
        )
    gone = decided.gone
    if rehearse or not gone:
        return gone
    with recorded(backup, Task.EXPIRE, cause) as record:
        for name in reversed(gone):  # an incremental one before what it stands on
            backup.engine.delete(name)
        record.detail["removed"] = list(gone)
    return gone


def retried(attempt: Callable[[str], object], cause: str) -> object:
    """Do something, and once more where it fails (BAK-2)."""
    try:
        return attempt(cause)
    except SteadError:  # a disk that was full, a server that was away
        return attempt("retry")


def summary(runs: tuple[Run, ...]) -> Mapping[str, object]:
    """Return how many of the ended runs succeeded, with their number (BAK-2)."""
    ended = [r for r in runs if r.counts]
    good = sum(1 for r in ended if r.ending is Ending.DONE)
    return {"runs": len(ended), "succeeded": good, "rate": good / len(ended) if ended else None}
