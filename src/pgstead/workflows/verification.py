"""Verifying a base backup: every file of its manifest, and every WAL record from it to now.

Barman's own verification leaves the WAL out; a flipped byte in it ends recovery early, in
silence.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pgstead.errors import BackupError
from pgstead.model.backup import StoredBackup, Target, Task
from pgstead.model.design import Design
from pgstead.ports import Ports
from pgstead.workflows.backup import PATIENCE, ports_of, recorded


@dataclass(frozen=True, slots=True)
class Verified:
    """What was looked at, and found whole."""

    files: int
    segments: int
    last_lsn: str  # up to where the WAL can be read


def verify(design: Design, ports: Ports, cause: str, name: str) -> Verified:
    """Lay a backup out and look at all of it; nothing of that is left.

    Raises BackupError that names the file or the place in the WAL.
    """
    backup = ports_of(ports)
    with (
        backup.turns.reading(patience=PATIENCE),
        recorded(backup, Task.VERIFY, cause, name) as record,
    ):
        found = backup.engine.show(name)
        with backup.turns.scratch("verify", Path(design.layout.backup)) as place:
            ports.progress.step(f"laying out {name}")
            backup.engine.restore(name, place / "data", Target(), staging=place / "staging")
            ports.progress.step("reading every file and every WAL record")
            verified = _looked(ports, found, place / "data")
        record.detail |= {
            "files": verified.files,
            "segments": verified.segments,
            "last_lsn": verified.last_lsn,
        }
    return verified


def _looked(ports: Ports, found: StoredBackup, place: Path) -> Verified:
    backup = ports_of(ports)
    files = backup.files.verify(place, found)
    segments, last = backup.files.read_wal(place, found)
    if segments == 0:
        raise BackupError(f"there is no WAL for {found.name}: nobody could start it")
    return Verified(files, segments, last)
