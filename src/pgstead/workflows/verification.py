"""Verifying a base backup: every file of its manifest, and every WAL record from it to now.

Barman's own verification leaves the WAL out; a flipped byte in it ends recovery early, in
silence.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pgstead.errors import BackupError
from pgstead.model.backup import StoredBackup, Target, Task
from pgstead.ports import Ports
from pgstead.ports.backup import BackupPorts
from pgstead.workflows import pace, soundness
from pgstead.workflows.backup import PATIENCE, ports_of, recorded

_ARRIVAL = 10.0  # seconds for a commit to be streamed
_ATTEMPTS = 3

_EMIT = "SELECT pg_logical_emit_message(true, 'pgstead', 'verify')::text AS lsn"
# What was sent; pg_receivewal writes at once what comes, and tells of it every 10 s only.
_STREAMED = """
    SELECT EXISTS (SELECT FROM pg_stat_replication WHERE sent_lsn >= pg_current_wal_lsn())
    AS there
"""


@dataclass(frozen=True, slots=True)
class Verified:
    """What was looked at, and found whole."""

    files: int
    segments: int
    last_lsn: str  # of the last WAL record that could be read


def verify(ports: Ports, cause: str, name: str) -> Verified:
    """Lay a backup out and look at all of it; nothing of that is left.

    Raises BackupError that names the file or the place in the WAL.
    """
    backup = ports_of(ports)
    with (
        backup.turns.reading(patience=PATIENCE),
        recorded(backup, Task.VERIFY, cause, name) as record,
    ):
        found = backup.engine.show(name)
        plain = backup.engine.plain()
        ports.progress.step(f"looking at what is stored of {name}")
        soundness.stored(backup, found)
        received = _received(ports)
        with backup.scratch.place("verify", room=soundness.room(backup, found)) as place:
            verified = _verified(ports, backup, found, place, received)
        record.detail |= {
            "files": verified.files,
            "segments": verified.segments,
            "last_lsn": verified.last_lsn,
            "received": received,
            "cluster_size": found.cluster_size,
            "plain": list(plain),
        }
        _must_be_sealed(name, plain)
    return verified


def _must_be_sealed(name: str, plain: Sequence[str]) -> None:
    """Raise BackupError where plaintext lay in an encrypted repository: whole is not secret."""
    if plain:
        more = f" and {len(plain) - 1} more" if len(plain) > 1 else ""
        raise BackupError(
            f"{name} is whole, but a file of the encrypted repository can be read by anybody:"
            f" {plain[0]}{more}",
            hint="what an archiving run left is removed by the next one: verify again; remove the"
            " rest, or find out who put it there",
        )


def _received(ports: Ports) -> str:
    """Write to the WAL, and return where, when it has been received; empty where it was not.

    The server may be down, or the receiver: then nobody knows how far the WAL should go, and
    other promises tell of that (BAK-001).
    """
    if not ports.sql.answers():
        return ""
    with ports.sql.connect() as connection:
        told = connection.execute(_EMIT).fetchone()
        end = time.monotonic() + _ARRIVAL
        while told is not None and time.monotonic() < end:
            there = connection.execute(_STREAMED).fetchone()
            if there is not None and there["there"]:
                return str(told["lsn"])
            time.sleep(0.05)
    return ""


def _verified(
    ports: Ports, backup: BackupPorts, found: StoredBackup, place: Path, received: str
) -> Verified:
    """Lay it out, again where a segment became full meanwhile: Barman gives the open one only."""
    last, data = "", place / "data"
    run = pace.Pace(ports.progress, pace.usual(backup, Task.VERIFY, found.cluster_size))
    for attempt in range(_ATTEMPTS):
        whole = soundness.archived(backup, found)
        with run.step(
            f"laying out {found.name}", lambda: pace.bytes_below(data), found.cluster_size
        ):
            backup.engine.restore(found.name, data, Target(), staging=place / "staging")
        with run.step("reading every file and every WAL record"):
            told = soundness.laid_out(backup, found, data, whole)
        last = told[2]
        if not received or _place(last) >= _place(received):
            return Verified(*told)
        if attempt < _ATTEMPTS - 1:
            shutil.rmtree(data)
    raise BackupError(
        f"the WAL of {found.name} ends after {last}, and {received} was received already",
        hint="the segment that is being received is damaged: make a new base backup now",
    )


def _place(lsn: str) -> int:
    high, _, low = lsn.partition("/")
    return (int(high, 16) << 32) + int(low, 16)
