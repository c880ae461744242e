"""Upkeep: what is to be done, doing it one after the other, and what is known of it.

A run remembers nothing: what a killed one left undone shows in the statistics again, and its
history says that it was begun before.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from pgstead.apply.upkeep import (
    ChoreError,
    PutOffError,
    Watch,
    Window,
    carry_out,
    role_of,
)
from pgstead.errors import BusyError, SqlError, SteadError
from pgstead.model.design import Design
from pgstead.model.upkeep import (
    APPLICATION,
    Chore,
    ChoreRun,
    Found,
    Outcome,
    UpkeepPlan,
    UpkeepRun,
    UpkeepWork,
    Work,
    unsettled,
)
from pgstead.observe import upkeep as observing
from pgstead.plan import upkeep as planning
from pgstead.ports import Ports, Sql
from pgstead.ports.upkeep import UpkeepHistory

_KEPT = 400  # days of history
_LOCK = (0x70677374, 0x75706B65)  # "pgst", "upke"
_PASSES = 3
_LONGEST, _PATIENCE = "15min", "10s"  # of a look: measuring reads whole indexes
_LEFT = 15.0  # seconds that a statement of a killed run may take to end
_ALONE = "SELECT pg_try_advisory_lock(%s, %s) AS ours"
_OTHERS = """
    SELECT count(*) AS others FROM pg_stat_activity
    WHERE application_name = %s AND pid <> pg_backend_pid()
"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a run is to do; nothing named: all that is due."""

    databases: tuple[str, ...] = ()
    works: tuple[Work, ...] = ()

    def takes(self, chore: Chore) -> bool:
        """Say whether a chore is meant."""
        return not self.works or chore.work in self.works


@dataclass(frozen=True, slots=True)
class Report:
    """What a run has done."""

    run: int
    outcome: Outcome
    chores: tuple[ChoreRun, ...]


@dataclass
class _Running:
    """What a run works with."""

    design: Design
    ports: Ports
    plan: UpkeepPlan
    history: UpkeepHistory
    window: Window
    run: int = 0
    outcomes: list[Outcome] = field(default_factory=list[Outcome])


def plan_of(design: Design) -> UpkeepPlan:
    """Return how the stead is kept up."""
    assert design.upkeep is not None
    return design.upkeep


def history_of(ports: Ports) -> UpkeepHistory:
    """Return what is remembered."""
    assert ports.upkeep is not None
    return ports.upkeep


def look(
    design: Design, ports: Ports, wanted: Wanted | None = None, *, advise: bool = False
) -> UpkeepWork:
    """Return what is to be done now; nothing is changed. Raises NotRunningError, SqlError.

    `advise`: look at rows, too, for columns that tell of each other.
    """
    wanted = wanted or Wanted()
    plan = plan_of(design)
    names = [d.name for d in design.databases if d.name in wanted.databases or not wanted.databases]
    major = design.build.major
    found = [_found(ports.sql, name, major, plan, advise=advise) for name in names]
    history = history_of(ports).chores()
    work = planning.decide(plan, found, history, datetime.now(UTC))
    return replace(work, chores=tuple(c for c in work.chores if wanted.takes(c)))


def _found(port: Sql, database: str, major: int, plan: UpkeepPlan, *, advise: bool) -> Found:
    try:
        with port.connect(database) as connection:
            for name, value in (("statement_timeout", _LONGEST), ("lock_timeout", _PATIENCE)):
                connection.execute("SELECT set_config(%s, %s, false)", (name, value))
            found = observing.look(connection, database, major, plan)
            pairs = observing.correlations(connection, major) if advise else ()
            return replace(found, correlated=pairs)
    except psycopg.Error as error:
        raise SqlError(
            f"what is due in {database!r} cannot be found out: {' '.join(str(error).split())}",
            hint="look at `pgstead logs postgres`; a table that somebody has locked has no size",
        ) from error


def run(
    design: Design,
    ports: Ports,
    cause: str,
    *,
    seconds: float | None = None,
    wanted: Wanted | None = None,
    stop: threading.Event | None = None,
) -> Report:
    """Do what is due, for so many seconds at the most. Raises BusyError while another one does.

    Whatever becomes of a chore is in the history; what failed or was put off raises nothing.
    """
    plan, history = plan_of(design), history_of(ports)
    length = plan.window if seconds is None else seconds
    window = Window(time.monotonic() + length, stop or threading.Event())
    with _alone(ports.sql):
        history.settle()
        running = _Running(design, ports, plan, history, window)
        ports.progress.step("looking for what is due")
        chores = _due(running, cause, wanted)
        try:
            _passes(running, chores, wanted)
        except BaseException as error:
            stopped = isinstance(error, KeyboardInterrupt)
            told = "interrupted" if stopped else str(error) or type(error).__name__
            history.end(running.run, Outcome.INTERRUPTED if stopped else Outcome.FAILED, told)
            raise
        outcome = _together(running)
        history.end(running.run, outcome)
        history.forget(_KEPT)
    return Report(running.run, outcome, tuple(reversed(history.chores(run=running.run))))


def _due(running: _Running, cause: str, wanted: Wanted | None) -> tuple[Chore, ...]:
    """Return what is due, the run begun; where that cannot be found out the history says so."""
    whole = wanted is None or wanted == Wanted()
    try:
        chores = look(running.design, running.ports, wanted).chores
    except SteadError as error:
        number = running.history.begin(cause, 0, whole=False)
        running.history.end(number, Outcome.FAILED, error.message)
        raise
    running.run = running.history.begin(cause, len(chores), whole=whole)
    return chores


def _passes(running: _Running, chores: Sequence[Chore], wanted: Wanted | None) -> None:
    """Do the chores, and what they bring to light: after VACUUM an index is seen to be thin."""
    tried: set[str] = set()
    for _ in range(_PASSES):
        for chore in chores:
            tried.add(chore.key)
            running.outcomes.append(_chore(running, chore))
        if not chores or running.window.left <= 0 or running.window.stop.is_set():
            return
        found = look(running.design, running.ports, wanted).chores
        chores = [c for c in found if c.key not in tried]


def _together(running: _Running) -> Outcome:
    if running.window.stop.is_set():
        return Outcome.INTERRUPTED
    worst = (Outcome.FAILED, Outcome.DEFERRED)
    return next((o for o in worst if o in running.outcomes), Outcome.DONE)


@contextmanager
def _alone(port: Sql) -> Generator[None]:
    """Hold the lock that one run at a time has; wait for what a killed one has left running."""
    with port.connect() as connection:
        connection.execute("SET application_name = 'pgstead upkeep lock'")
        row = connection.execute(_ALONE, _LOCK).fetchone()
        end = time.monotonic() + _LEFT
        while row is not None and row["ours"] and _others(connection):
            if time.monotonic() > end:
                row = None
                break
            time.sleep(0.2)
        if row is None or not row["ours"]:
            raise BusyError(
                "another run of upkeep is at work",
                hint="`pgstead upkeep status` shows what it does",
            )
        yield


def _others(connection: psycopg.Connection[dict[str, Any]]) -> bool:
    row = connection.execute(_OTHERS, (APPLICATION,)).fetchone()
    return row is not None and bool(row["others"])


def _chore(running: _Running, chore: Chore) -> Outcome:
    """Do one chore, and keep how it went. Raises KeyboardInterrupt and what is a bug."""
    plan, sql = running.plan, running.ports.sql
    role = role_of(chore, plan, running.design.superuser)
    running.ports.progress.step(f"{chore.work} {chore.database} {chore.schema}.{chore.name}")
    try:
        with sql.connect(chore.database) as connection, sql.connect(chore.database) as beside:
            return _done(running, chore, role, connection, beside)
    except (psycopg.Error, SteadError) as error:
        told = " ".join(str(error).split())
        number = running.history.begin_chore(running.run, chore, {}, role)
        running.history.end_chore(number, Outcome.FAILED, error=told)
        return Outcome.FAILED


def _done(running: _Running, chore: Chore, role: str, connection: Any, beside: Any) -> Outcome:
    plan, history = running.plan, running.history
    before = _figures(running, chore, beside)
    number = history.begin_chore(running.run, chore, before, role)
    watch = Watch(beside, plan, running.window)
    outcome, told = Outcome.DONE, ""
    try:
        _may_begin(running, chore)
        watch.await_calm(chore)
        carry_out(connection, watch, chore, plan, role)
    except PutOffError as error:
        stopped = running.window.stop.is_set()
        outcome, told = (Outcome.INTERRUPTED if stopped else Outcome.DEFERRED), str(error)
    except ChoreError as error:
        outcome, told = Outcome.FAILED, str(error)
    except BaseException as error:
        stopped = isinstance(error, KeyboardInterrupt)
        ended = Outcome.INTERRUPTED if stopped else Outcome.FAILED
        history.end_chore(number, ended, error="" if stopped else str(error))
        raise
    history.end_chore(number, outcome, after=_figures(running, chore, beside), error=told)
    return outcome


def _figures(running: _Running, chore: Chore, beside: Any) -> dict[str, Any]:
    """Return the figures of a table or index; none while somebody has it locked."""
    plan = running.plan
    if beside.closed:
        return {}
    beside.execute(
        "SELECT set_config('lock_timeout', %s, false)", (f"{plan.lock_timeout * 1000:.0f}ms",)
    )
    try:
        return observing.measure(beside, chore, running.design.build.major, plan)
    except psycopg.errors.LockNotAvailable:
        return {}


def _may_begin(running: _Running, chore: Chore) -> None:
    """Raise PutOffError where there is no time for a chore, ChoreError where there is no room."""
    left = running.window.left
    if running.window.stop.is_set():
        raise PutOffError("who does it is to end")
    if not chore.urgent and left <= 0:
        raise PutOffError("the window was over")
    if not chore.urgent and (chore.seconds or 0.0) > left:
        told = f"it takes about {chore.seconds:.0f} s, and {left:.0f} s of the window are left"
        if (chore.seconds or 0.0) > running.plan.window:
            told += "; no window is long enough for it: set upkeep.window"
        raise PutOffError(told)
    _room(running, chore)


def _room(running: _Running, chore: Chore) -> None:
    if not chore.room:
        return
    try:
        usage = shutil.disk_usage(Path(chore.place or running.design.layout.data))
    except OSError:
        return  # the data lies where we cannot look (a container): the server will say it
    spare = usage.free - running.plan.room * usage.total
    if chore.room > spare:
        mega = 1024.0**2
        raise ChoreError(
            f"it needs {chore.room / mega:.0f} MB of disk, and {max(spare, 0) / mega:.0f} MB may be"
            f" used ({running.plan.room:.0%} of the file system are left free)"
        )


@dataclass(frozen=True, slots=True)
class UpkeepStatus:
    """What is known of upkeep without looking at a table."""

    plan: UpkeepPlan
    last: UpkeepRun | None  # the last run that ended
    running: UpkeepRun | None
    failing: tuple[ChoreRun, ...]  # chores that failed when they were tried last
    waiting: tuple[ChoreRun, ...]  # that were put off, interrupted or killed


def status(design: Design, ports: Ports) -> UpkeepStatus:
    """Return what the history tells. Raises StateDirectoryError."""
    history = history_of(ports)
    history.settle()
    runs = history.runs()
    chores = unsettled(history.chores(), runs)
    return UpkeepStatus(
        plan_of(design),
        next((r for r in runs if r.outcome is not Outcome.RUNNING), None),
        next((r for r in runs if r.outcome is Outcome.RUNNING), None),
        tuple(c for c in chores if c.outcome is Outcome.FAILED),
        tuple(c for c in chores if c.outcome is not Outcome.FAILED),
    )
