"""What is known of backups, asked once for the promises about them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from pgstead.errors import SteadError
from pgstead.model.backup import BackupPlan, Ending, Run, State, StoredBackup, Task
from pgstead.ports.backup import BackupPorts
from pgstead.prove.finding import Answer, CannotTryError, answer, timed
from pgstead.prove.witness import Witness


def plan_of(w: Witness) -> BackupPlan:
    """Return how the stead is backed up; the need `backup` has looked for it."""
    assert w.design.backup is not None
    return w.design.backup


def ports_of(w: Witness) -> BackupPorts:
    """Return what backups work with."""
    found = w.access.ports.backup
    if found is None:
        raise CannotTryError("what makes the backups is not at hand here")
    return found


def backups_of(w: Witness) -> Answer[tuple[StoredBackup, ...]]:
    """Return the base backups that are done, oldest first."""

    def listed() -> Answer[tuple[StoredBackup, ...]]:
        with timed() as watch:
            try:
                found = ports_of(w).engine.backups()
            except SteadError as error:
                raise CannotTryError(f"the backups cannot be listed: {error.message}") from error
        done = tuple(b for b in found if b.state is State.DONE)
        names = ", ".join(b.name for b in done) or "none"
        return answer(f"barman list-backups {plan_of(w).repository}", names, done, watch)

    return w.once("backups", listed)


def runs_of(w: Witness, task: Task) -> Answer[tuple[Run, ...]]:
    """Return the catalog's runs of a task, newest first."""
    with timed() as watch:
        try:
            found = ports_of(w).catalog.runs(task)
        except SteadError as error:
            raise CannotTryError(f"the catalog cannot be read: {error.message}") from error
    done = [run for run in found if run.ending is Ending.DONE]
    text = f"{len(done)} of {len(found)} succeeded"
    if done and done[0].ended is not None:
        text += f", the last one ended {done[0].ended:%F %T} UTC"
    return answer(f"the catalog: runs of {task}", text, found, watch)


def newest_of(w: Witness) -> StoredBackup:
    """Return the newest base backup that is done."""
    found = backups_of(w)
    if not found.value:
        raise CannotTryError("there is no base backup yet", evidence=found.evidence)
    return found.value[-1]


def overdue(w: Witness, limit: timedelta) -> bool:
    """Say whether the first backup is older than that: what is due by then was not done."""
    begun = [run.begun for run in runs_of(w, Task.BACKUP).value]
    return bool(begun) and datetime.now(UTC) - min(begun) > limit
