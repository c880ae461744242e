"""Logical dumps: one file a database, and one of the roles; which other versions can read.

All of a run are there, or none of them: a file has its name only when every one is whole and was
read again. Where backups are encrypted they are sealed to the same key, which lies beside them.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pgstead.errors import BackupError, StateDirectoryError, UsageError
from pgstead.model.backup import BackupPlan, Task
from pgstead.model.design import Design
from pgstead.ports import Ports
from pgstead.ports.backup import BackupPorts, SocketAddress
from pgstead.workflows.backup import PATIENCE, ports_of, recorded

GLOBALS = "globals"
KEYS = "backup-keys.asc"  # all key pairs, under their passphrase: what opens the dumps beside it
SEALED = ".gpg"
_UNFINISHED = ".unfinished"  # the directory, below that of the dumps, of a run that goes on
_STAMP = "%Y%m%d_%H%M%S"
_NAME = re.compile(r"^(?P<what>.+)_(?P<stamp>\d{8}_\d{6})\.(?:dump|sql)(?:\.gpg)?$")


@dataclass(frozen=True, slots=True)
class Exported:
    """A dump that was made."""

    database: str  # or "globals"
    file: Path
    size: int  # bytes
    sum: str  # SHA-256
    sealed: bool


@dataclass(frozen=True, slots=True)
class _Order:
    """What is to be dumped, and where to."""

    databases: tuple[str, ...]
    place: Path
    sealed: bool


def export(
    design: Design,
    ports: Ports,
    cause: str,
    databases: Sequence[str] = (),
    into: Path | None = None,
    *,
    plain: bool = False,
) -> tuple[Exported, ...]:
    """Dump databases, all where none is named, and let go of dumps that are too old.

    Each is of one moment (a snapshot); two databases are of moments that follow each other.
    Raises UsageError for an unknown database, or plain dumps among sealed backups; BackupError
    and then no file is left of this run.
    """
    backup, plan = ports_of(ports), design.backup
    assert plan is not None
    place = into or Path(plan.exports)
    if plain and plan.encrypted:
        _must_be_elsewhere(plan, place)
    order = _Order(_wanted(design, databases), place, plan.encrypted and not plain)
    with (
        backup.turns.exporting(patience=PATIENCE),
        recorded(backup, Task.EXPORT, cause) as record,
    ):
        record.detail |= {
            "directory": str(place),
            "databases": list(order.databases),
            "sealed": order.sealed,
        }
        made = _made(design, ports, backup, order)
        record.detail["files"] = {dump.file.name: dump.size for dump in made}
        record.detail["sums"] = {dump.file.name: dump.sum for dump in made}
        record.detail["removed"] = list(_let_go(design, plan, place))
    return made


def _must_be_elsewhere(plan: BackupPlan, place: Path) -> None:
    """Raise UsageError where plain dumps would lie among what is sealed (ENC-3)."""
    for kept in (Path(plan.exports), Path(plan.repository)):
        if place.resolve().is_relative_to(kept.resolve()):
            raise UsageError(
                f"plain dumps do not go to {kept}: what lies there is sealed",
                hint="name another place: --out",
            )


def _wanted(design: Design, databases: Sequence[str]) -> tuple[str, ...]:
    known = [database.name for database in design.databases]
    if unknown := [name for name in databases if name not in known]:
        raise UsageError(
            f"there is no database {', '.join(unknown)} in this stead",
            hint=f"the manifest has {', '.join(known)}",
        )
    return tuple(dict.fromkeys(databases)) or tuple(known)


def _made(design: Design, ports: Ports, backup: BackupPorts, order: _Order) -> tuple[Exported, ...]:
    """Dump into a directory of its own, and give the files their names when all are whole."""
    place = order.place
    unfinished = place / _UNFINISHED
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.rmtree(unfinished, ignore_errors=True)  # of a run that was killed
        unfinished.mkdir(mode=0o700)
        made = tuple(_dumped(design, ports, backup, order, unfinished))
        if order.sealed:
            backup.dumps.copy_keys(place / KEYS)
        return _named(made, place)
    except OSError as error:
        raise StateDirectoryError(
            f"{place} cannot be written to: {error.strerror or error}",
            hint="free space there, or name another directory: --out DIR",
        ) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _dumped(
    design: Design, ports: Ports, backup: BackupPorts, order: _Order, unfinished: Path
) -> Iterator[Exported]:
    """Dump each, and read it again: all of it, through the key where it is sealed."""
    source = SocketAddress(str(design.layout.socket), int(design.settings["port"]))
    stamp, sealed = datetime.now(UTC).strftime(_STAMP), order.sealed
    end = SEALED if sealed else ""
    for name in order.databases:
        ports.progress.step(f"dumping {name}")
        file = unfinished / f"{name}_{stamp}.dump{end}"
        size = backup.dumps.dump(source, name, file, sealed=sealed)
        yield Exported(name, file, size, backup.dumps.read(file), sealed)
    ports.progress.step("dumping roles")
    file = unfinished / f"{GLOBALS}_{stamp}.sql{end}"
    size = backup.dumps.globals(source, file, sealed=sealed)
    yield Exported(GLOBALS, file, size, backup.dumps.read(file), sealed)


def _named(made: Sequence[Exported], place: Path) -> tuple[Exported, ...]:
    if taken := [dump.file.name for dump in made if (place / dump.file.name).exists()]:
        raise BackupError(
            f"there are dumps of this second already: {', '.join(taken)}",
            hint="run it again",
        )
    return tuple(
        Exported(d.database, d.file.rename(place / d.file.name), d.size, d.sum, d.sealed)
        for d in made
    )


def exported(design: Design, place: Path) -> Iterator[Path]:
    """Yield what we put into a directory of dumps."""
    ours = {database.name for database in design.databases} | {GLOBALS}
    for path in sorted(place.iterdir()) if place.is_dir() else ():
        match = _NAME.match(path.name)
        if path.name in (KEYS, _UNFINISHED) or (match is not None and match["what"] in ours):
            yield path


def _let_go(design: Design, plan: BackupPlan, place: Path) -> Iterator[str]:
    """Remove the dumps of our databases whose name says that they are too old."""
    edge = datetime.now(UTC) - timedelta(days=plan.export_kept)
    ours = {database.name for database in design.databases} | {GLOBALS}
    for path in sorted(place.iterdir()):
        match = _NAME.match(path.name)
        if match is None or match["what"] not in ours or not path.is_file():
            continue
        if _moment(match["stamp"]) < edge:
            path.unlink(missing_ok=True)
            yield path.name


def _moment(stamp: str) -> datetime:
    try:
        return datetime.strptime(stamp, _STAMP).replace(tzinfo=UTC)
    except ValueError:
        return datetime.now(UTC)  # 99999999_999999 was not written by us


def opened(design: Design, ports: Ports, file: Path, into: Path) -> int:
    """Write a sealed dump as it was before; return its bytes. It is kept who did that.

    Raises UsageError where it would lie among what is sealed.
    """
    assert design.backup is not None
    _must_be_elsewhere(design.backup, into)
    size = ports_of(ports).dumps.open(file, into)
    ports.journal.record("backup opened", file=str(file), into=str(into))
    return size
