"""Recovery: beside the running stead, in its place, or a part of it as a dump."""

from __future__ import annotations

import secrets
import shutil
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pgstead.errors import BackupError, UnreachableTargetError, UsageError
from pgstead.model.backup import Ending, State, StoredBackup, Target, TargetKind, Task
from pgstead.model.design import Design
from pgstead.model.resources import BackupFile
from pgstead.ports import Ports
from pgstead.ports.backup import BackupPorts, RestoredSession
from pgstead.workflows import heartbeat, pace, soundness
from pgstead.workflows.backup import PATIENCE, ports_of, recorded
from pgstead.workflows.runs import Record

_REPLAY = 24 * 3600.0  # seconds


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a restore will do, before it does anything."""

    backup: StoredBackup
    target: Target
    room: int  # bytes that it needs
    free: int  # bytes that there are
    estimate: float | None  # seconds, from what restores took so far; None without history
    others: tuple[StoredBackup, ...] = ()  # older ones, should the target lie before it


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
    backup.engine.archive()  # a timeline that has just begun is known by what arrived of it
    chosen, *others = (backup.engine.show(name),) if name else _fitting(backup, target)
    nearest = place
    while not nearest.exists():
        nearest = nearest.parent
    # once laid out, once staged, and the WAL
    room = chosen.cluster_size * 2 + chosen.wal_size
    free = shutil.disk_usage(nearest).free
    return Recipe(chosen, target, room, free, _estimate(backup, chosen), tuple(others))


def _fitting(backup: BackupPorts, target: Target) -> list[StoredBackup]:
    """Return the base backups that lead to a target, the one to begin with first.

    That is the newest that ended before it, on the way to its timeline. An xid or a name does not
    say when it was: where the newest begins too late, an older one is taken.
    """
    done = [found for found in backup.engine.backups() if found.state is State.DONE]
    if not done:
        raise BackupError("there is no base backup to restore", hint="`pgstead backup now`")
    lineage = backup.engine.lineage(target.timeline)
    fitting = [b for b in done if lineage.holds(b.timeline, _number(b.end_lsn))]
    match target.kind:
        case TargetKind.TIME:
            moment = datetime.fromisoformat(target.value)
            fitting = [b for b in fitting if b.ended is not None and b.ended <= moment][-1:]
        case TargetKind.LSN:
            # what was being written while it was copied has to be replayed whole
            edge = _number(target.value)
            fitting = [b for b in fitting if _number(b.end_lsn) <= edge][-1:]
        case TargetKind.XID | TargetKind.NAME:
            pass
        case _:
            fitting = fitting[-1:]
    if not fitting:
        raise BackupError(
            f"no base backup of timeline {lineage.timeline} reaches back to {target}",
            hint=f"the oldest one ended at {done[0].ended}; later moments can be recovered, those"
            " of a history that was left with --timeline",
        )
    return fitting[::-1]


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
    """Lay it out, replay up to the target, and leave it shut down in an empty directory.

    What is there then is a data directory that a server can start on, on a timeline of its own; it
    has its name when it is whole, and not before. Raises BackupError, UnreachableTargetError where
    no base backup leads to the target; nothing is left then.
    """
    backup = ports_of(ports)
    _must_be_empty(place)
    _must_fit(wanted)
    with (
        backup.turns.reading(patience=PATIENCE),
        recorded(backup, Task.RESTORE, cause, wanted.backup.name) as record,
    ):
        began = time.monotonic()
        with backup.scratch.place(
            f".{place.name}.restoring", room=wanted.room, near=place.parent
        ) as scratch:
            record.backup, ledger = _first_that_leads(ports, wanted, scratch)
            _place(scratch / "data", place)
        seconds = time.monotonic() - began
        record.detail |= {
            "target": str(wanted.target),
            "rto": round(seconds, 3),
            "last_row": ledger.last,
        }
    ports.journal.record("restored", backup=record.backup, target=str(wanted.target))
    return Restoration(record.backup, str(wanted.target), str(place), seconds, ledger)


def _place(laid_out: Path, place: Path) -> None:
    """Give it its name; an empty directory that is there already is taken away first."""
    if place.exists():
        place.rmdir()
    laid_out.rename(place)


def _first_that_leads(ports: Ports, wanted: Recipe, scratch: Path) -> tuple[str, heartbeat.Ledger]:
    """Restore from the first base backup that leads to the target; return its name too."""
    *before, last = (wanted.backup, *wanted.others)
    for found in before:
        try:
            return found.name, _replayed(ports, found, wanted.target, scratch)
        except UnreachableTargetError:
            shutil.rmtree(scratch / "data", ignore_errors=True)
            ports.progress.step(
                f"{wanted.target} is not behind {found.name}: an older one is tried"
            )
    return last.name, _replayed(ports, last, wanted.target, scratch)


def _replayed(ports: Ports, found: StoredBackup, target: Target, scratch: Path) -> heartbeat.Ledger:
    backup, place = ports_of(ports), scratch / "data"
    run = pace.Pace(ports.progress, _estimate(backup, found))
    soundness.stored(backup, found)
    whole = soundness.archived(backup, found)
    with run.step(f"laying out {found.name}", lambda: pace.bytes_below(place), found.cluster_size):
        backup.engine.restore(found.name, place, target, staging=scratch / "staging")
    # nothing starts on files that are not what was copied, or on WAL that ends early
    everything = target.kind is TargetKind.LATEST and target.timeline in ("", "latest")
    soundness.laid_out(backup, found, place, whole if everything else None)
    with run.step("replaying WAL"):
        started = backup.restored.start(place, timeout=_REPLAY)
    with started as session:
        ledger = heartbeat.look(session.sql)
        session.promote()
    if not ledger.whole:
        raise BackupError(
            f"the ledger of {found.name} is not what was written: {ledger}",
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

    The caller runs `up` afterwards: processes, slot and passwords are put right by it. Where the
    last moment is wanted the server ends first, so that nothing is acknowledged behind it.
    """
    backup = ports_of(ports)
    data = Path(design.layout.data)
    for left in data.parent.glob("data.*.restored"):  # of one that was killed
        shutil.rmtree(left, ignore_errors=True)
    place = data.with_name(f"data.{secrets.token_hex(3)}.restored")
    with _quiet(ports, wanted.target):
        done = restore(ports, wanted, place)
    ports.progress.step("stopping")
    ports.supervisor.shutdown()
    kept = data.with_name(f"data.before-{datetime.now(UTC):%Y%m%dT%H%M%S}")
    there = data.exists()
    if there:
        data.rename(kept)
    try:
        ports.cluster.adopt(place)
    except BaseException:
        if there and not data.exists():
            kept.rename(data)  # what ran before is found where it was
        raise
    # its open segment is of a history that is over
    backup.engine.forget_open_segment()
    told = str(kept) if there else ""
    ports.journal.record("restored in place", backup=done.backup, kept=told)
    return Restoration(done.backup, done.target, str(data), done.seconds, done.ledger, kept=told)


@contextmanager
def _quiet(ports: Ports, target: Target) -> Generator[None]:
    """Have the server stopped while its last moment is restored, and running again on failure."""
    if target.kind is not TargetKind.LATEST or not ports.sql.answers():
        yield
        return
    # the receiver goes on: a server that ends waits until all of its WAL is there
    ports.supervisor.stop("postgres")
    try:
        yield
    except BaseException:
        ports.supervisor.start("postgres")
        raise


@contextmanager
def beside(
    ports: Ports, wanted: Recipe, cause: str = "command"
) -> Generator[tuple[RestoredSession, Record, heartbeat.Ledger]]:
    """Restore in a place of its own, and give a session there; it is removed afterwards."""
    backup = ports_of(ports)
    _must_fit(wanted)
    with (
        backup.turns.reading(patience=PATIENCE),
        recorded(backup, Task.RESTORE, cause, wanted.backup.name) as record,
        backup.scratch.place("extract", room=wanted.room) as scratch,
    ):
        record.backup, ledger = _first_that_leads(ports, wanted, scratch)
        record.detail["target"] = str(wanted.target)
        with backup.restored.start(scratch / "data", timeout=_REPLAY) as session:
            yield session, record, ledger


def extract(ports: Ports, wanted: Recipe, database: str, table: str, into: Path) -> Restoration:
    """Restore in a place of its own, dump a database or a table of it, and remove the rest."""
    if into.exists():
        raise UsageError(f"{into} exists already", hint="name another file: --into FILE")
    began = time.monotonic()
    with beside(ports, wanted) as (session, record, ledger):
        ports.progress.step(f"dumping {database}")
        ports_of(ports).dumps.dump(session.address, database, into, table=table)
        record.detail["extracted"] = f"{database}.{table}".strip(".")
    seconds = time.monotonic() - began
    return Restoration(record.backup, str(wanted.target), str(into), seconds, ledger)
