"""Recovery: beside the running stead, in its place, or a part of it as a dump."""

from __future__ import annotations

import secrets
import shutil
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pgstead.errors import BackupError, UsageError
from pgstead.model.backup import Ending, State, StoredBackup, Target, TargetKind, Task
from pgstead.model.design import Design
from pgstead.model.resources import BackupFile
from pgstead.ports import Ports
from pgstead.ports.backup import BackupPorts
from pgstead.workflows import heartbeat
from pgstead.workflows.backup import PATIENCE, ports_of, recorded

_REPLAY = 24 * 3600.0  # seconds


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a restore will do, before it does anything."""

    backup: StoredBackup
    target: Target
    room: int  # bytes that it needs
    free: int  # bytes that there are
    estimate: float | None  # seconds, from what restores took so far; None without history


@dataclass(frozen=True, slots=True)
class Restoration:
    """What a restore did."""

    backup: str
    target: str
    place: str
    seconds: float
    ledger: heartbeat.Ledger
    kept: str = ""  # where the data directory went that was there before


def ready(design: Design, ports: Ports) -> None:
    """Write what the repository is read with, on a stead that was never up.

    That is all which somebody has who restores on another machine: a manifest that names the
    repository and its passphrase.
    """
    for file in design.stead.all(BackupFile):
        ports.files.write(design.layout.state / file.name, file.text, mode=file.mode)


def recipe(ports: Ports, target: Target, place: Path, *, name: str = "") -> Recipe:
    """Return what a restore to a target would do. Raises BackupError where it cannot be."""
    backup = ports_of(ports)
    chosen = backup.engine.show(name) if name else _fitting(backup, target)
    nearest = place
    while not nearest.exists():
        nearest = nearest.parent
    # once laid out, once staged, and the WAL
    room = chosen.cluster_size * 2 + chosen.wal_size
    return Recipe(chosen, target, room, shutil.disk_usage(nearest).free, _estimate(backup, chosen))


def _fitting(backup: BackupPorts, target: Target) -> StoredBackup:
    """Return the newest base backup that ended before the target."""
    done = [found for found in backup.engine.backups() if found.state is State.DONE]
    if not done:
        raise BackupError("there is no base backup to restore", hint="`pgstead backup now`")
    match target.kind:
        case TargetKind.TIME:
            moment = datetime.fromisoformat(target.value)
            fitting = [b for b in done if b.ended is not None and b.ended <= moment]
        case TargetKind.LSN:
            fitting = [b for b in done if _number(b.end_lsn) <= _number(target.value)]
        case _:
            # an xid or a name does not say when it was: the newest is tried first
            fitting = done
    if not fitting:
        first = done[0].ended
        raise BackupError(
            f"no base backup reaches back to {target}",
            hint=f"the oldest one ended at {first}; later moments can be recovered",
        )
    return fitting[-1]


def _number(lsn: str) -> int:
    high, _, low = lsn.partition("/")
    try:
        return (int(high, 16) << 32) + int(low, 16)
    except ValueError:
        raise UsageError(
            f"{lsn!r} is no place in the WAL", hint="it looks like 0/3000060"
        ) from None


def _estimate(backup: BackupPorts, chosen: StoredBackup) -> float | None:
    """Return how long it may take: as earlier ones, by size."""
    speeds: list[float] = []
    sizes = {found.name: found.cluster_size for found in backup.engine.backups()}
    for run in backup.catalog.runs(limit=50):
        taken = run.detail.get("rto")
        if run.ending is Ending.DONE and isinstance(taken, float) and sizes.get(run.backup):
            speeds.append(taken / sizes[run.backup])
    return None if not speeds else max(speeds) * chosen.cluster_size


def restore(ports: Ports, wanted: Recipe, place: Path, *, cause: str = "command") -> Restoration:
    """Lay it out in an empty directory, replay up to the target, and leave it shut down.

    What is there then is a data directory that a server can start on, on a timeline of its own.
    Raises BackupError; what was laid out is removed then.
    """
    backup = ports_of(ports)
    _must_be_empty(place)
    _must_fit(wanted)
    with (
        backup.turns.reading(patience=PATIENCE),
        recorded(backup, Task.RESTORE, cause, wanted.backup.name) as record,
    ):
        began = time.monotonic()
        staging = place.with_name(f".{place.name}.staging")
        try:
            ledger = _replayed(ports, wanted, place, staging)
        except BaseException:
            shutil.rmtree(place, ignore_errors=True)
            raise
        seconds = time.monotonic() - began
        record.detail |= {
            "target": str(wanted.target),
            "rto": round(seconds, 3),
            "last_row": ledger.last,
        }
    ports.journal.record("restored", backup=wanted.backup.name, target=str(wanted.target))
    return Restoration(wanted.backup.name, str(wanted.target), str(place), seconds, ledger)


def _replayed(ports: Ports, wanted: Recipe, place: Path, staging: Path) -> heartbeat.Ledger:
    backup = ports_of(ports)
    ports.progress.step(f"laying out {wanted.backup.name}")
    backup.engine.archive()
    place.parent.mkdir(parents=True, exist_ok=True)
    backup.engine.restore(wanted.backup.name, place, wanted.target, staging=staging)
    ports.progress.step("replaying WAL")
    with backup.restored.start(place, timeout=_REPLAY) as session:
        ledger = heartbeat.look(session.sql)
        session.promote()
    if not ledger.whole:
        raise BackupError(
            f"the ledger has {ledger.gaps} gaps and {ledger.altered} altered rows",
            hint="this backup is not to be trusted; restore an older one",
        )
    return ledger


def _must_be_empty(place: Path) -> None:
    if place.exists() and any(place.iterdir()):
        raise UsageError(
            f"{place} is not empty", hint="name a directory that does not exist yet: --into DIR"
        )


def _must_fit(wanted: Recipe) -> None:
    if wanted.free < wanted.room:
        raise BackupError(
            f"there is no room: {wanted.room // 2**20} MB are needed, {wanted.free // 2**20} MB"
            " are free",
            hint="name a directory on another file system: --into DIR",
        )


def in_place(design: Design, ports: Ports, wanted: Recipe) -> Restoration:
    """Put what was restored in the place of the data directory; that one is kept beside.

    The caller runs `up` afterwards: processes, slot and passwords are put right by it.
    """
    backup = ports_of(ports)
    data = Path(design.layout.data)
    place = data.with_name(f"data.{secrets.token_hex(3)}.restored")
    done = restore(ports, wanted, place)
    ports.progress.step("stopping")
    ports.supervisor.shutdown()
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    kept = ""
    if data.exists():
        kept = str(data.rename(data.with_name(f"data.before-{stamp}")))
    ports.cluster.adopt(place)
    # its open segment is of a history that is over
    backup.engine.forget_open_segment()
    ports.journal.record("restored in place", backup=done.backup, kept=kept or None)
    return Restoration(done.backup, done.target, str(data), done.seconds, done.ledger, kept=kept)


def extract(
    design: Design, ports: Ports, wanted: Recipe, database: str, table: str, into: Path
) -> Restoration:
    """Restore in a place of its own, dump a database or a table of it, and remove the rest."""
    backup = ports_of(ports)
    if into.exists():
        raise UsageError(f"{into} exists already", hint="name another file: --into FILE")
    _must_fit(wanted)
    place = Path(design.layout.backup, f"extract-{secrets.token_hex(4)}")
    with (
        backup.turns.reading(patience=PATIENCE),
        recorded(backup, Task.RESTORE, "command", wanted.backup.name) as record,
    ):
        began = time.monotonic()
        try:
            ports.progress.step(f"laying out {wanted.backup.name}")
            backup.engine.archive()
            backup.engine.restore(
                wanted.backup.name, place / "data", wanted.target, staging=place / "staging"
            )
            ports.progress.step("replaying WAL")
            with backup.restored.start(place / "data", timeout=_REPLAY) as session:
                ledger = heartbeat.look(session.sql)
                ports.progress.step(f"dumping {database}")
                backup.dumps.dump(session.address, database, into, table=table)
        finally:
            shutil.rmtree(place, ignore_errors=True)
        record.detail |= {
            "target": str(wanted.target),
            "extracted": f"{database}.{table}".strip("."),
        }
    seconds = time.monotonic() - began
    return Restoration(wanted.backup.name, str(wanted.target), str(into), seconds, ledger)
