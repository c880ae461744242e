"""status: what runs, where, and what to know of it."""

from __future__ import annotations

from dataclasses import dataclass, fields

from pgstead.errors import SteadError
from pgstead.model.availability import NOTE, Availability
from pgstead.model.design import Design, Door, Notice, Waiver
from pgstead.model.operation import Plan
from pgstead.model.resources import Certificate, Revision
from pgstead.model.stead import Stead
from pgstead.observe import snapshot
from pgstead.plan.diff import diff
from pgstead.ports import Ports, ProgramState
from pgstead.workflows import backup_status
from pgstead.workflows.backup_status import BackupStatus


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
    )


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
