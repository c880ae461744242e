"""Logical dumps: one file a database, and one of the roles; which other versions can read.

All of a run are there, or none of them: a file has its name only when every one is whole.
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
_UNFINISHED = ".unfinished"  # the directory, below that of the dumps, of a run that goes on
_STAMP = "%Y%m%d_%H%M%S"
_NAME = re.compile(r"^(?P<what>.+)_(?P<stamp>\d{8}_\d{6})\.(?:dump|sql)$")


@dataclass(frozen=True, slots=True)
class Exported:
    """A dump that was made."""

    database: str  # or "globals"
    file: Path
    size: int  # bytes


def export(
    design: Design,
    ports: Ports,
    cause: str,
    databases: Sequence[str] = (),
    into: Path | None = None,
) -> tuple[Exported, ...]:
    """Dump databases, all where none is named, and let go of dumps that are too old.

    Each is of one moment (a snapshot); two databases are of moments that follow each other.
    Raises UsageError for an unknown database; BackupError and then no file is left of this run.
    """
    backup, plan = ports_of(ports), design.backup
    assert plan is not None
    wanted = _wanted(design, databases)
    place = into or Path(plan.exports)
    with (
        backup.turns.exporting(patience=PATIENCE),
        recorded(backup, Task.EXPORT, cause) as record,
    ):
        record.detail |= {"directory": str(place), "databases": list(wanted)}
        made = _made(design, ports, backup, wanted, place)
        record.detail["files"] = {dump.file.name: dump.size for dump in made}
        record.detail["removed"] = list(_let_go(design, plan, place))
    return made


def _wanted(design: Design, databases: Sequence[str]) -> tuple[str, ...]:
    known = [database.name for database in design.databases]
    if unknown := [name for name in databases if name not in known]:
        raise UsageError(
            f"there is no database {', '.join(unknown)} in this stead",
            hint=f"the manifest has {', '.join(known)}",
        )
    return tuple(dict.fromkeys(databases)) or tuple(known)


def _made(
    design: Design, ports: Ports, backup: BackupPorts, databases: Sequence[str], place: Path
) -> tuple[Exported, ...]:
    """Dump into a directory of its own, and give the files their names when all are whole."""
    source = SocketAddress(str(design.layout.socket), int(design.settings["port"]))
    stamp = datetime.now(UTC).strftime(_STAMP)
    unfinished = place / _UNFINISHED
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.rmtree(unfinished, ignore_errors=True)  # of a run that was killed
        unfinished.mkdir(mode=0o700)
        sizes: dict[str, int] = {}
        for name in databases:
            ports.progress.step(f"dumping {name}")
            file = f"{name}_{stamp}.dump"
            sizes[file] = backup.dumps.dump(source, name, unfinished / file)
        ports.progress.step("dumping roles")
        sizes[f"{GLOBALS}_{stamp}.sql"] = backup.dumps.globals(
            source, unfinished / f"{GLOBALS}_{stamp}.sql"
        )
        return tuple(_named(unfinished, place, sizes))
    except OSError as error:
        raise StateDirectoryError(
            f"{place} cannot be written to: {error.strerror or error}",
            hint="free space there, or name another directory: --out DIR",
        ) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _named(unfinished: Path, place: Path, sizes: dict[str, int]) -> Iterator[Exported]:
    if taken := [name for name in sizes if (place / name).exists()]:
        raise BackupError(
            f"there are dumps of this second already: {', '.join(taken)}",
            hint="run it again",
        )
    for name, size in sizes.items():
        file = (unfinished / name).rename(place / name)
        match = _NAME.match(name)
        assert match is not None
        yield Exported(match["what"], file, size)


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
