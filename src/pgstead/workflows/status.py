"""status: what runs, where, and what to know of it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import UTC, datetime

from pgstead.errors import SteadError
from pgstead.model.availability import NOTE, Availability
from pgstead.model.design import Design, Door, Notice, Waiver
from pgstead.model.operation import Plan
from pgstead.model.resources import Certificate, Revision
from pgstead.model.stead import Stead
from pgstead.model.telemetry import REMAINING
from pgstead.observe import snapshot
from pgstead.plan.diff import diff
from pgstead.ports import Ports, ProgramState
from pgstead.workflows import alerting, backup_status, upkeep
from pgstead.workflows.alerting import AlertStatus
from pgstead.workflows.backup_status import BackupStatus
from pgstead.workflows.upkeep import UpkeepStatus

_FRESH = 3600.0  # seconds
_LOOKS, _SPARE = 3, 5.0  # intervals, and seconds beside, after which alerts tell of the past


@dataclass(frozen=True, slots=True)
class Alarm:
    """What the agent found of the alert rules last; None where that is not known of now."""

    found: AlertStatus | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Status:
    """The stead as it is now."""

    name: str
    environment: str
    programs: tuple[ProgramState, ...]
    doors: tuple[Door, ...]
    answers: bool
    pooler_answers: bool
    databases: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...]  # name, found, wanted
    certificates: tuple[Certificate, ...]
    notices: tuple[Notice, ...]
    waivers: tuple[Waiver, ...]
    plan: Plan
    backups: BackupStatus | None = None  # None where none are made
    available: Availability | None = None  # over thirty days; None: not reckoned
    alarm: Alarm = Alarm(None, "nobody asked")
    upkeep: UpkeepStatus | None = None  # None where its history cannot be read
    ends: tuple[str, ...] = ()  # capacities that end within a year, the first one first

    @property
    def healthy(self) -> bool:
        """Everything wanted runs and answers."""
        wanted_running = all(program.running for program in self.programs)
        return wanted_running and bool(self.programs) and self.answers


def status(design: Design, ports: Ports) -> Status:
    """Look at everything once; changes nothing."""
    found = snapshot.take(design, ports)
    states = ports.supervisor.states()
    answers = ports.sql.answers()
    return Status(
        name=design.name,
        environment=design.environment.value,
        programs=tuple(
            states.get(p.name)
            or ProgramState(p.name, running=False, state="STOPPED", pid=None, digest="")
            for p in design.programs
        ),
        doors=design.doors,
        answers=answers,
        pooler_answers=ports.console.answers() if design.pooler else False,
        databases=tuple(_revisions(design, found)),
        certificates=tuple(found.all(Certificate)),
        notices=design.notices,
        waivers=design.waivers,
        plan=diff(design.stead, found),
        backups=backup_status.look(design, ports, answers=answers),
        available=_available(ports),
        alarm=_alarm(design, ports),
        upkeep=_upkeep(design, ports),
        ends=_ends(ports),
    )


def _upkeep(design: Design, ports: Ports) -> UpkeepStatus | None:
    try:
        return upkeep.status(design, ports)
    except SteadError:
        return None


def _ends(ports: Ports) -> tuple[str, ...]:
    """Return what the agent foresees, by the samples of its last hour."""
    if ports.telemetry is None:
        return ()
    now = datetime.now(UTC)
    try:
        found = [s for s in ports.telemetry.store.newest() if s.metric == REMAINING]
    except SteadError:
        return ()
    fresh = [s for s in found if s.value is not None and (now - s.at).total_seconds() < _FRESH]
    return tuple(s.reason for s in sorted(fresh, key=lambda s: s.value or 0.0))


def _alarm(design: Design, ports: Ports) -> Alarm:
    """Return what fires; rules that nobody has evaluated lately say nothing about now."""
    if design.alerts is None or ports.alerts is None or design.telemetry is None:
        return Alarm(None, "no rule is evaluated: alerts.enabled and telemetry.enabled")
    try:
        found = alerting.look(design.alerts, ports.alerts)
    except SteadError as error:
        return Alarm(None, error.message)
    if found.at is None:
        return Alarm(None, "the agent has not evaluated any rule yet")
    age = abs((datetime.now(UTC) - found.at).total_seconds())
    if age > _LOOKS * design.telemetry.interval + _SPARE:
        return Alarm(None, f"the agent has not evaluated the rules for {age:.0f} s")
    return Alarm(found)


def _available(ports: Ports) -> Availability | None:
    """Return what the agent reckoned last."""
    if ports.telemetry is None:
        return None
    try:
        told = ports.telemetry.store.noted(NOTE)
    except SteadError:
        return None
    names = [field.name for field in fields(Availability)]
    return None if told is None else Availability(**{name: told[name] for name in names})


def _revisions(design: Design, found: Stead) -> list[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    there = {revision.database: revision.heads for revision in found.all(Revision)}
    return [(d.name, there.get(d.name, ()), d.heads) for d in design.databases]
