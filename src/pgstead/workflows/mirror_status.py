"""What a glance at the copy in object storage shows, at no request to it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from pgstead.errors import SteadError
from pgstead.model.backup import State
from pgstead.model.design import Design
from pgstead.model.mirror import LocalFile, MirrorPlan
from pgstead.plan import mirroring
from pgstead.ports import Ports
from pgstead.ports.backup import BackupPorts
from pgstead.ports.mirror import MirrorPorts


@dataclass(frozen=True, slots=True)
class MirrorStatus:
    """The copy, as this machine remembers it."""

    place: str
    at: datetime | None  # when it was written last
    objects: int
    size: int  # bytes
    waiting: int  # files that are not there yet
    lag: float  # seconds that the oldest of them has been waiting
    error: str  # of the last attempt; empty where it succeeded
    notes: tuple[str, ...]


def look(design: Design, ports: Ports) -> MirrorStatus | None:
    """Compare what lies here with what was copied; None where no copy is kept."""
    backup = ports.backup
    if design.backup is None or design.backup.mirror is None or backup is None:
        return None
    plan = design.backup.mirror
    if backup.mirror is None:
        note = "what copies to object storage is missing: `pgstead doctor --fix` fetches it"
        return MirrorStatus(str(plan), None, 0, 0, 0, 0.0, "", (note,))
    try:
        return _looked(plan, backup, backup.mirror)
    except SteadError as error:
        return MirrorStatus(str(plan), None, 0, 0, 0, 0.0, error.message, (error.message,))


def _looked(plan: MirrorPlan, backup: BackupPorts, mirror: MirrorPorts) -> MirrorStatus:
    known = mirror.memory.load()
    done = tuple(b for b in backup.engine.backups() if b.state is State.DONE)
    waiting = mirroring.news(mirror.source.files(done), known)
    lag = max((_age(f) for f in waiting), default=0.0)
    index = known.index if known is not None else None
    error = known.error if known is not None else ""
    return MirrorStatus(
        str(plan),
        known.succeeded if known is not None else None,
        len(index.copies) if index is not None else 0,
        index.size if index is not None else 0,
        len(waiting),
        lag,
        error,
        tuple(_notes(plan, lag, error, keyed=plan.with_key)),
    )


def _age(file: LocalFile) -> float:
    return max(0.0, time.time() - file.changed / 1e9)


def _notes(plan: MirrorPlan, lag: float, error: str, *, keyed: bool) -> list[str]:
    notes: list[str] = []
    if error:
        notes.append(f"the last copy to object storage failed: {error}")
    if lag > plan.max_age:
        behind, limit = timedelta(seconds=round(lag)), timedelta(seconds=plan.max_age)
        notes.append(f"the copy at {plan} is {behind} behind, more than {limit}")
    if not keyed:
        notes.append(
            f"the copy at {plan} has not the key that opens it: keep what"
            " `pgstead backup key export` writes apart from this machine, with the passphrase"
        )
    return notes
