"""What Barman wrote down of each base backup: its backup.info, read as it is.

Its `show-backup` takes half a second, and fails for every backup once there is a second timeline:
3.19.1 encrypts the history file and reads it as text (`xlog.decode_history_file`).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from pgstead.errors import BackupError
from pgstead.host import listing
from pgstead.model.backup import SERVER, BackupPlan, State, StoredBackup

_STATES = {
    "DONE": State.DONE,
    "FAILED": State.FAILED,
    "WAITING_FOR_WALS": State.WAITING,
    "STARTED": State.RUNNING,
    "SYNCING": State.RUNNING,
    "EMPTY": State.RUNNING,
}
_ENDING = "-backup.info"
_SEGMENT = 16 * 2**20  # bytes, unless initdb was told otherwise
_SEGMENTS = frozenset(2**n for n in range(20, 31))  # initdb --wal-segsize: 1 MB to 1 GB


def everything(plan: BackupPlan) -> tuple[StoredBackup, ...]:
    """Return all base backups, oldest first."""
    there = (path.name for path in listing.within(_folder(plan)))
    names = sorted(name.removesuffix(_ENDING) for name in there if name.endswith(_ENDING))
    starts = [found for name in names if (found := _read(plan, name)) is not None]
    followers = itertools.chain((found.begin_wal for found in starts[1:]), [""])
    return tuple(
        _with_wal(plan, found, until) for found, until in zip(starts, followers, strict=False)
    )


def of(plan: BackupPlan, name: str) -> StoredBackup:
    """Return one base backup. Raises BackupError where there is none of that name."""
    found = next((b for b in everything(plan) if b.name == name), None)
    return found or one(plan, name)


def one(plan: BackupPlan, name: str) -> StoredBackup:
    """Return one without the size of its WAL. Raises BackupError for one that cannot be read."""
    found = _read(plan, name)
    if found is None:
        raise BackupError(
            f"there is no base backup {name!r}", hint="`pgstead backup list` shows them"
        )
    return found


def _read(plan: BackupPlan, name: str) -> StoredBackup | None:
    """Return one, None where there is none (any more). Raises BackupError for a damaged one."""
    path = _folder(plan) / f"{name}{_ENDING}"
    try:
        told = _fields(path.read_text(encoding="utf-8"))
        return _stored(name, told)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise BackupError(
            f"the backup.info of {name} cannot be read: {error}",
            hint=f"{path} was damaged; make a new base backup",
        ) from error


def _folder(plan: BackupPlan) -> Path:
    return Path(plan.repository, SERVER, "meta")


def _fields(text: str) -> Mapping[str, str]:
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    return {name: "" if value == "None" else value for name, _, value in pairs}


def _stored(name: str, told: Mapping[str, str]) -> StoredBackup:
    if "status" not in told:
        raise ValueError("it has no status")
    return StoredBackup(
        name=name,
        state=_STATES.get(told["status"], State.FAILED),
        kind="incremental" if told.get("parent_backup_id") else "full",
        parent=told.get("parent_backup_id", ""),
        begun=_moment(told.get("begin_time", "")),
        ended=_moment(told.get("end_time", "")),
        size=int(told.get("deduplicated_size") or told.get("size") or 0),
        wal_size=0,
        cluster_size=int(told.get("cluster_size") or 0),
        begin_lsn=told.get("begin_xlog", ""),
        end_lsn=told.get("end_xlog", ""),
        begin_wal=told.get("begin_wal", ""),
        end_wal=told.get("end_wal", ""),
        timeline=int(told.get("timeline") or 0),
        system_id=told.get("systemid", ""),
        major=int(told.get("version") or 0) // 10_000,
        segment=_segment(told.get("xlog_segment_size", "")),
        encrypted=told.get("encryption", "").lower() == "gpg",
        error=told.get("error", ""),
    )


def _segment(told: str) -> int:
    """Return the bytes of a segment. Raises ValueError for what initdb would not take."""
    size = int(told) if told else _SEGMENT  # a backup that has not begun says nothing of it
    if size not in _SEGMENTS:
        raise ValueError(f"xlog_segment_size is {size}, which no server has")
    return size


def _with_wal(plan: BackupPlan, found: StoredBackup, until: str) -> StoredBackup:
    """Add the bytes of the WAL from a backup to the next one."""
    there = listing.two_down(plan.wals) if found.begin_wal else ()
    segments = [path for path in there if len(path.name) == 24]
    own = [p for p in segments if found.begin_wal[8:] <= p.name[8:] < (until[8:] or "G")]
    return replace(found, wal_size=sum(listing.size_of(path) for path in own))


def _moment(told: str) -> datetime | None:
    return datetime.fromisoformat(told).astimezone(UTC) if told else None
