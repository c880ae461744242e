"""A major upgrade: the old server stops, pg_upgrade runs, the new one starts; or all goes back.

How far it has come is written down before each phase, so that whoever kills it leaves something
that a next run finishes or takes back. A server is only ever started on `data`, by the supervisor.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from psycopg import sql

from pgstead.apply import restarting
from pgstead.errors import SteadError, UpgradeError
from pgstead.model.backup import Task
from pgstead.model.design import Design, Program
from pgstead.model.operation import Impact
from pgstead.model.resources import ConfigFile
from pgstead.model.upgrade import Phase, Upgrade
from pgstead.observe import upgrading as looked
from pgstead.ports import Ports
from pgstead.ports.backup import BackupPorts
from pgstead.ports.upgrade import UpgradeHost, UpgradeLog
from pgstead.workflows import backup, verification
from pgstead.workflows.first_backup import await_first
from pgstead.workflows.up import up

_STOPPING = 600.0  # seconds for a fast shutdown: others are cut off, and a checkpoint is made
_AFTER = frozenset({"archiver", "agent"})  # programs that begin when all else is settled


@dataclass(frozen=True, slots=True)
class Side:
    """The stead as it is with one of the versions."""

    design: Design
    ports: Ports


@dataclass(frozen=True, slots=True)
class Work:
    """What an upgrade works with."""

    host: UpgradeHost
    log: UpgradeLog
    followed: bool = True  # the agent begins with the rest, and makes the first base backup


@dataclass(frozen=True, slots=True)
class Upgraded:
    """What an upgrade did."""

    upgrade: Upgrade
    laps: Mapping[str, float]  # seconds of each part; empty where a killed run had begun it
    notes: tuple[str, ...]

    @property
    def downtime(self) -> float | None:
        """How long nobody was served, in seconds."""
        return sum(self.laps.values()) if self.laps else None


class _Clock:
    """What the parts of a downtime took."""

    def __init__(self) -> None:
        """Begin now."""
        self.laps: dict[str, float] = {}
        self._last = time.monotonic()

    def lap(self, name: str) -> None:
        """End a part."""
        now = time.monotonic()
        self.laps[name] = round(now - self._last, 3)
        self._last = now


def upgrade(
    old: Side, new: Side, work: Work, wanted: Upgrade, *, patience: float, anyway: bool = False
) -> Upgraded:
    """Do it; where anything fails before the new server serves, the old one does again.

    Raises UpgradeError with pg_upgrade's words, BusyError where transactions do not end.
    """
    cluster = old.ports.cluster.inspect()
    assert cluster is not None
    work.log.write(wanted)
    try:
        wanted = _backed_up(old, work, wanted)
        old.ports.progress.step("making the new cluster")
        work.host.prepare(cluster)
        old.ports.progress.step("having pg_upgrade look at the running server")
        work.host.check(wanted.mode)
        _quiet(old)
        old.ports.progress.step("writing what is in memory")
        work.host.flush()
        restarting.checkpoint(old.ports)
        clock = _Clock()
        with old.ports.hold.waiting(patience=patience, anyway=anyway):
            clock.lap("pause")
            restarting.give_time(old.ports)
            _changed_over(old, new, work, wanted, clock)
        clock.lap("resume")
    except BaseException:
        _abandon(old, work)
        raise
    return settle(new, work, wanted, clock)


def _backed_up(old: Side, work: Work, wanted: Upgrade) -> Upgrade:
    """Make a base backup and look at all of it: what can be restored whatever happens."""
    if old.ports.backup is None:
        return wanted
    made = backup.make(old.ports, "upgrade")
    verification.verify(old.ports, "upgrade", made.name)
    wanted = replace(wanted, backup=made.name)
    work.log.write(wanted)
    return wanted


def _quiet(side: Side) -> None:
    """End what nobody waits for, and what would take its time to end later."""
    if "agent" in side.ports.supervisor.states():
        side.ports.supervisor.stop("agent")


def _abandon(old: Side, work: Work) -> None:
    """Forget an upgrade of which the old server knows nothing."""
    pending = work.log.pending()
    if pending is not None and pending.phase is Phase.PREPARING:
        work.host.discard()
        if "agent" in old.ports.supervisor.states():
            old.ports.supervisor.start("agent")
        work.log.drop()


def _changed_over(old: Side, new: Side, work: Work, wanted: Upgrade, clock: _Clock) -> None:
    """Stop the one, upgrade, start the other; nobody is served meanwhile."""
    try:
        work.log.write(replace(wanted, phase=Phase.UPGRADING))
        _stop(old)
        clock.lap("stop")
        old.ports.progress.step(f"running pg_upgrade ({wanted.mode})")
        work.host.run(wanted.mode)
        clock.lap("pg_upgrade")
        _take_over(new, work, wanted, clock)
    except BaseException as error:
        if not _taken_back(old, new, work, wanted) and isinstance(error, Exception):
            raise UpgradeError(
                f"the new server does not start: {error}",
                hint="`pgstead upgrade` goes on; there is no way back, as both have the same"
                " files: restore the base backup that was made before",
            ) from error
        raise


def _take_over(new: Side, work: Work, wanted: Upgrade, clock: _Clock) -> None:
    """Give the new cluster its name, and start it."""
    work.log.write(replace(wanted, phase=Phase.SWAPPING))
    work.host.swap(wanted)
    work.host.remember(wanted)
    work.log.write(replace(wanted, phase=Phase.STARTING))
    _start(new)
    clock.lap("start")
    new.ports.progress.step("making the statistics that the planner must have")
    work.host.first_statistics()
    clock.lap("statistics")


def _stop(side: Side) -> None:
    """Stop the server, and what receives its WAL behind it; nothing starts it meanwhile."""
    supervisor = side.ports.supervisor
    there = supervisor.states()
    side.ports.progress.step("stopping postgres")
    if "postgres" in there:
        supervisor.stop("postgres", timeout=_STOPPING)
    supervisor.configure([p for p in _early(side.design) if p.kind != "postgres"])


def _early(design: Design) -> list[Program]:
    return [p for p in design.programs if p.kind not in _AFTER]


def _start(side: Side) -> None:
    """Write what the server reads, and start it on the data directory."""
    design, ports = side.design, side.ports
    ports.progress.step(f"starting PostgreSQL {design.build.version}")
    for file in design.stead.all(ConfigFile):
        if file.name.startswith("server/"):
            place, owner = design.layout.state / file.name, design.host.server_user
            ports.files.write(place, file.text, mode=file.mode, owner=owner)
    ports.supervisor.configure(_early(design))
    ports.supervisor.start("postgres", timeout=_STOPPING)


def _taken_back(old: Side, new: Side, work: Work, wanted: Upgrade) -> bool:
    """Have the old server run again after a failure; say whether that can be."""
    pending = work.log.pending()
    begun = pending is not None and not pending.phase.returns
    started = pending is not None and pending.phase is not Phase.SWAPPING
    if begun and started and not wanted.mode.reversible:
        return False
    old.ports.progress.step("going back")
    if begun:
        _unplace(new, work, wanted)
    else:
        work.host.discard()
    _start(old)
    restarting.usual_times(old.ports)
    up(old.design, old.ports, allow=Impact.RESTART)
    work.log.drop()
    return True


def _unplace(new: Side, work: Work, wanted: Upgrade) -> None:
    """Take the new cluster's name away again."""
    if "postgres" in new.ports.supervisor.states():
        _stop(new)
    work.host.unswap(wanted)
    work.host.remember(wanted, back=True)


# -- afterwards -----------------------------------------------------------------------------------


def settle(new: Side, work: Work, wanted: Upgrade, clock: _Clock | None) -> Upgraded:
    """Bring everything else up on the new version; the new cluster is backed up at last."""
    # a killed run's agent worked on: the first base backup may be there, and no other comes soon
    wanted = replace(
        wanted, phase=Phase.SETTLING, served=wanted.served or datetime.now(UTC).isoformat()
    )
    work.log.write(wanted)
    ports, notes = new.ports, list[str]()
    restarting.usual_times(new.ports)
    if ports.backup is not None and wanted.aside:
        with suppress(SteadError):  # what was not archived stays where it was received
            ports.backup.engine.archive()
        aside = _set_aside(ports.backup, work, wanted)
        notes.append(f"what was backed up of {wanted.old} is in {aside}")
    up(new.design, ports, allow=Impact.RESTART)
    notes += _extensions_updated(ports)
    ports.progress.step("making the planner's statistics")
    work.host.all_statistics()
    since = datetime.fromisoformat(wanted.served)
    if work.followed and (told := await_first(ports, since=since)):
        notes.append(told)
    laps = {} if clock is None else clock.laps
    ports.journal.record("upgraded", old=wanted.old.version, new=wanted.new.version, seconds=laps)
    work.log.end(wanted)
    return Upgraded(wanted, laps, tuple(notes))


def _set_aside(ports: BackupPorts, work: Work, wanted: Upgrade) -> str:
    """Put the repository of the old cluster aside, and write down that it has left."""
    names = [found.name for found in ports.engine.backups()]
    aside = work.host.set_aside(wanted)
    if names:
        with backup.recorded(ports, Task.EXPIRE, "upgrade") as record:
            # `removed` would have the copy in object storage let go of them too
            record.detail |= {"aside": names, "place": aside}
    return aside


def _extensions_updated(ports: Ports) -> list[str]:
    """Bring extensions to what the new binaries have of them; return what could not be."""
    notes: list[str] = []
    for database, names in looked.outdated(ports.sql).items():
        for name in names:
            statement = sql.SQL("ALTER EXTENSION {} UPDATE").format(sql.Identifier(name))
            try:
                with ports.sql.connect(database) as session:
                    session.execute(statement)
            except Exception as error:  # noqa: BLE001  whatever an extension's script raises
                notes.append(f"extension {name} in {database} is as old as before: {error}")
    return notes


# -- a run that was killed ------------------------------------------------------------------------


def undo(old: Side, work: Work, pending: Upgrade) -> None:
    """Take back what a killed run had begun; the old server serves as before."""
    old.ports.progress.step("taking back an upgrade that was killed")
    work.host.discard()
    if pending.phase is not Phase.PREPARING:
        with old.ports.hold.waiting(patience=0, anyway=True):
            _start(old)
        restarting.usual_times(old.ports)
        up(old.design, old.ports, allow=Impact.RESTART)
    work.log.drop()


def finish(new: Side, work: Work, pending: Upgrade) -> Upgraded:
    """Go on with what a killed run had begun."""
    new.ports.progress.step("going on with an upgrade that was killed")
    if pending.phase is not Phase.SETTLING:
        with new.ports.hold.waiting(patience=0, anyway=True):
            new.ports.supervisor.end_orphans()
            _take_over(new, work, pending, _Clock())
    return settle(new, work, pending, None)


def back(old: Side, work: Work, last: Upgrade) -> None:
    """Have the old version again, with what it had when it was stopped."""
    work.log.write(replace(last, phase=Phase.RETURNING))
    with old.ports.hold.waiting(patience=0, anyway=True):
        _stop(old)  # whatever runs there: programs are known by their names
        work.host.unswap(last)
        work.host.remember(last, back=True)
        _bring_back(old, work, last)
        _start(old)
    up(old.design, old.ports, allow=Impact.RESTART)
    work.log.end(None)
    old.ports.journal.record("taken back", old=last.old.version, new=last.new.version)


def _bring_back(old: Side, work: Work, last: Upgrade) -> None:
    """Have the repository of the old cluster in its place; that of the new one has left then."""
    if old.ports.backup is None:
        return
    names = [found.name for found in old.ports.backup.engine.backups()]
    work.host.bring_back(last)
    there = {found.name for found in old.ports.backup.engine.backups()}
    with backup.recorded(old.ports.backup, Task.EXPIRE, "upgrade taken back") as record:
        record.detail["aside"] = [name for name in names if name not in there]
