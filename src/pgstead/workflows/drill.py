"""A drill: the newest base backup is restored in a place of its own, and asked questions.

What it shows is measured: how long a restore takes (RTO), and up to when it goes (RPO).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from pgstead.errors import BackupError
from pgstead.model.backup import StoredBackup, Target, TargetKind, Task
from pgstead.model.design import Design
from pgstead.ports import Ports
from pgstead.ports.backup import BackupPorts, RestoredSession
from pgstead.workflows import heartbeat, inspection, pace, soundness
from pgstead.workflows.backup import PATIENCE, newest, ports_of, recorded

_REPLAY = 3600.0  # seconds
_ARRIVAL = 30.0  # seconds for the last row to be streamed


@dataclass
class Drilled:
    """What a drill showed."""

    backup: str
    target: str
    rto: float  # seconds from the call to a server that answers
    rpo: float | None  # seconds between the last row that was written and the last that is there
    lost: int | None  # rows of the ledger that were written and are not there
    passed: list[str] = field(default_factory=list[str])
    failed: list[str] = field(default_factory=list[str])


def drill(
    design: Design, ports: Ports, cause: str, *, name: str = "", target: Target | None = None
) -> Drilled:
    """Restore a base backup beside the stead, and look at it; nothing of it is left.

    Raises BackupError where it cannot be restored, or where what is restored is not right.
    """
    backup = ports_of(ports)
    wanted = target or Target()
    with (
        backup.turns.reading(patience=PATIENCE),
        recorded(backup, Task.DRILL, cause, name) as record,
    ):
        found = backup.engine.show(name) if name else newest(backup)
        record.backup = found.name
        drilled = _drill(design, ports, backup, found, wanted)
        record.detail |= {
            "target": drilled.target,
            "cluster_size": found.cluster_size,
            "rto": round(drilled.rto, 3),
            "rpo": None if drilled.rpo is None else round(drilled.rpo, 3),
            "lost_rows": drilled.lost,
            "passed": drilled.passed,
            "failed": drilled.failed,
        }
        if drilled.failed:
            raise BackupError(
                f"the restore of {found.name} is not right: {'; '.join(drilled.failed)}",
                hint="an older backup may be: `pgstead drill --backup NAME`; make a new one",
            )
    return drilled


def _drill(
    design: Design, ports: Ports, backup: BackupPorts, found: StoredBackup, target: Target
) -> Drilled:
    latest = target.kind is TargetKind.LATEST
    # an earlier moment had other roles and policies than there are now
    before = inspection.names(design, ports.sql) if latest else inspection.NOTHING
    last = _last_row(ports) if latest else None
    soundness.stored(backup, found)
    with backup.scratch.place("drill", room=soundness.room(backup, found)) as place:
        began = time.monotonic()
        run = pace.Pace(ports.progress, pace.usual(backup, Task.DRILL, found.cluster_size))
        data = place / "data"
        with run.step(
            f"restoring {found.name}", lambda: pace.bytes_below(data), found.cluster_size
        ):
            # of whole segments Barman gives those that are taken in
            whole = soundness.archived(backup, found)
            backup.engine.restore(found.name, data, target, staging=place / "staging")
            soundness.laid_out(backup, found, data, whole if latest else None)
        with run.step("replaying WAL"):
            started = backup.restored.start(data, timeout=_REPLAY)
        with started as session:
            rto = time.monotonic() - began
            drilled = Drilled(found.name, str(target), rto, None, None)
            with run.step("asking what was restored"):
                _ask_the_ledger(session, drilled, last)
                session.promote()
                # what was dropped meanwhile is gone from both
                wanted = inspection.still(before, inspection.names(design, ports.sql))
                for words, good in inspection.questions(design, wanted, session.sql):
                    _judge(drilled, words, good=good)
        return drilled


def _last_row(ports: Ports) -> heartbeat.Beat | None:
    """Write a row and wait until it has been streamed; None where the live server is down."""
    if not ports.sql.answers():
        return None
    row = heartbeat.beat(ports.sql)
    end = time.monotonic() + _ARRIVAL
    with ports.sql.connect() as connection:
        here = connection.execute("SELECT pg_current_wal_lsn() AS lsn").fetchone()
        assert here is not None
        while time.monotonic() < end:
            arrived = connection.execute(_STREAMED, {"lsn": here["lsn"]}).fetchone()
            if arrived is not None and arrived["there"]:
                return row
            time.sleep(0.05)
    return row


# What was sent: pg_receivewal writes at once what comes, and tells of it every 10 s only. It
# flushes a segment when that is full, unless it is a synchronous standby, whom every commit would
# wait for.
_STREAMED = """
    SELECT coalesce(bool_or(sent_lsn >= %(lsn)s), false) AS there FROM pg_stat_replication
"""


def _ask_the_ledger(
    session: RestoredSession, drilled: Drilled, last: heartbeat.Beat | None
) -> None:
    """Look whether its rows are whole, and whether the last one is there that was written."""
    ledger = heartbeat.look(session.sql)
    _judge(drilled, f"ledger: {ledger}", good=ledger.whole)
    if last is None:
        return
    drilled.lost = max(0, last.number - (ledger.last or 0))
    if ledger.at is not None:
        drilled.rpo = max(0.0, (last.at - ledger.at).total_seconds())
    words = f"ledger: all rows up to number {last.number}"
    if drilled.lost:
        words = f"ledger: {drilled.lost} rows are missing after number {ledger.last or 0}"
    _judge(drilled, words, good=drilled.lost == 0)


def _judge(drilled: Drilled, words: str, *, good: bool) -> None:
    (drilled.passed if good else drilled.failed).append(words)


def as_json(drilled: Drilled) -> Mapping[str, object]:
    """Return a drill for programs."""
    return {
        "backup": drilled.backup,
        "target": drilled.target,
        "rto_seconds": round(drilled.rto, 3),
        "rpo_seconds": drilled.rpo,
        "lost_rows": drilled.lost,
        "passed": drilled.passed,
        "failed": drilled.failed,
    }
