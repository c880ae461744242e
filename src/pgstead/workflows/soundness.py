"""Is a base backup what was made: asked before it is laid out, and before anything starts on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from pgstead.errors import BackupError
from pgstead.model.backup import Ending, Run, State, StoredBackup, Task
from pgstead.ports.backup import BackupPorts

_FACTS = (
    "size", "cluster_size", "begin_lsn", "end_lsn", "begin_wal", "timeline", "system_id", "segment",
)  # fmt: skip


def facts(found: StoredBackup) -> Mapping[str, object]:
    """Return what the catalog keeps of a base backup, to be compared with later."""
    return {name: getattr(found, name) for name in _FACTS}


def room(backup: BackupPorts, found: StoredBackup) -> int:
    """Return the bytes that laying it out takes: its files, sealed and open ones, and the WAL."""
    segments = len(backup.files.stored(found)) + 1
    return found.cluster_size + 2 * found.size + 2 * segments * found.segment


def stored(backup: BackupPorts, found: StoredBackup) -> None:
    """Compare what lies in the repository with what the catalog knows of it; takes no room.

    A repository that came from elsewhere is not in the catalog: nothing is compared then. Raises
    BackupError that names the file.
    """
    if found.state is not State.DONE:
        raise BackupError(
            f"the base backup {found.name} is {found.state}: {found.error or 'it never ended'}",
            hint="`pgstead backup list` shows which ones are done",
        )
    runs = [run for run in backup.catalog.runs(Task.BACKUP) if run.ending is Ending.DONE]
    if not runs:
        return
    made = next((run for run in runs if run.backup == found.name), None)
    if made is not None:
        _same(backup, found, made)
    # more than one where an upgrade gave the cluster another, or was taken back
    systems = {str(run.detail["system_id"]) for run in runs if run.detail.get("system_id")}
    if systems and found.system_id not in systems:
        raise BackupError(
            f"{found.name} is another cluster's: its system is {found.system_id}, not"
            f" {' or '.join(sorted(systems))}",
            hint="remove it from the repository; restore one of this cluster",
        )
    backup.files.stored(found)


def archived(backup: BackupPorts, found: StoredBackup) -> Sequence[str]:
    """Take in what has been received; return the segments that are there whole now."""
    backup.engine.archive()
    return backup.files.stored(found)


def _same(backup: BackupPorts, found: StoredBackup, made: Run) -> None:
    now = facts(found)
    for name in _FACTS:
        was = made.detail.get(name, now[name])
        if was != now[name]:
            raise BackupError(
                f"the backup.info of {found.name} was altered: {name} is {now[name]}, was {was}",
                hint="it cannot be trusted: make a new base backup",
            )
    there = backup.engine.sums(found.name)
    for name, wanted in sums(made).items():
        if there.get(name) != wanted:
            what = "is missing" if name not in there else "is not what was made"
            raise BackupError(
                f"the file {name} of {found.name} {what}: its SHA-256 was {wanted[:16]}...",
                hint="it cannot be trusted: make a new base backup; restore an older one",
            )


def sums(made: Run) -> Mapping[str, str]:
    """Return the SHA-256 of each file, as the catalog has them."""
    told = made.detail.get("sums")
    return cast("dict[str, str]", told) if isinstance(told, dict) else {}


def laid_out(
    backup: BackupPorts, found: StoredBackup, place: Path, whole: Sequence[str] | None
) -> tuple[int, int, str]:
    """Look at what was laid out; return files, segments, and where the last WAL record is.

    `whole` are the segments that the repository had before (`archived`): one that it has since
    then may have been open when it was copied. Without them the WAL is left out: a recovery to a
    moment says itself where it falls short. Raises BackupError that names what is wrong.
    """
    files = backup.files.verify(place, found)
    if whole is None:
        return files, 0, ""
    segments, last = backup.files.read_wal(place, found, whole)
    if segments == 0:
        raise BackupError(f"there is no WAL for {found.name}: nobody could start it")
    return files, segments, last
