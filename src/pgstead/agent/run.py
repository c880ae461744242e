"""The agent's life: what it does at once, what it does by the clock, how it ends.

One job of a kind runs at a time. What was missed while the machine slept or the agent was down is
caught up once: whether it was missed is read from the catalog, not remembered.
"""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from pgstead.agent.alerting import alerting_of
from pgstead.agent.auditing import Auditing
from pgstead.agent.caring import Caring
from pgstead.agent.clock_watch import ClockWatch
from pgstead.agent.long_work import LongWork
from pgstead.agent.mirroring import Mirroring
from pgstead.agent.rotating import Rotating
from pgstead.agent.sampling import Sampler
from pgstead.agent.upkeeping import Upkeeping
from pgstead.errors import SteadError
from pgstead.model.backup import BackupPlan, Ending, Run, State, StoredBackup, Task
from pgstead.model.design import Design
from pgstead.plan.continuity import followed
from pgstead.ports import Ports
from pgstead.ports.backup import BackupPorts
from pgstead.workflows import backup as backups
from pgstead.workflows import backup_status, exports, heartbeat, verification
from pgstead.workflows.drill import drill

_log = logging.getLogger("pgstead.agent")
_BEAT = 10  # seconds between two rows of the ledger
_SWEEP = 5  # seconds between two looks for segments that have arrived
_WATCH = 60  # seconds between two looks for WAL that is missing
_RELOAD = 5  # seconds between two looks at the manifest
_AGAIN = 600  # seconds after which a backup that failed twice is tried once more
_CLOCK = 1.0  # seconds between two looks at the clock
_LATE = 3600  # seconds that a job may begin late; what is later is caught up by the catalog
# what changes the stead as a manifest says is left to the agent that goes by the new one
_LEFT = frozenset({"upkeep", "passwords", "mend credentials"})


def run(design: Design, ports: Ports) -> None:
    """Keep the schedule until SIGTERM or SIGINT."""
    ended = threading.Event()

    def ends(_sign: int, _frame: object) -> None:
        ended.set()

    for sign in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sign, ends)
    scheduler = BackgroundScheduler(
        timezone=UTC,
        job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": _LATE},
    )
    work = LongWork(ended.set)
    if design.backup is not None and ports.backup is not None:
        _Backups(design, design.backup, ports, ports.backup, work).schedule(scheduler)
    sampler = _sampler(design, ports)
    if sampler is not None and design.telemetry is not None:
        scheduler.add_job(
            _watching(design, ports, sampler),
            IntervalTrigger(seconds=round(design.telemetry.interval)),
            id="sample",
            next_run_time=datetime.now(UTC),
        )
    _audit(design, ports, scheduler)
    if design.rotation.automatic:
        Rotating(design, ports).schedule(scheduler)
    Upkeeping(design, ports, ended).schedule(scheduler)
    caring = Caring(design)
    caring.schedule(scheduler)
    changed = _manifest_watch(Path(design.layout.applied), work, scheduler)
    scheduler.add_job(changed, IntervalTrigger(seconds=_RELOAD), id="manifest")
    scheduler.start()
    _log.info("the agent runs")
    clock = ClockWatch()
    while not ended.wait(_CLOCK):
        if by := clock.jumped():
            _clock_was_set(scheduler, by)
    caring.end()
    scheduler.shutdown(wait=False)
    if sampler is not None:
        sampler.close()


def _audit(design: Design, ports: Ports, scheduler: BackgroundScheduler) -> None:
    """Have what was logged collected, where the stead is audited."""
    if design.audit is None or ports.audit is None:
        return
    auditing = Auditing(design.audit, ports, ports.audit)
    scheduler.add_job(
        lambda: _tried(auditing.look, "auditing"),
        IntervalTrigger(seconds=round(design.audit.interval)),
        id="audit",
        next_run_time=datetime.now(UTC),
    )


def _clock_was_set(scheduler: BackgroundScheduler, by: float) -> None:
    """Begin anew from what the clock says now: the next times were reckoned by what it said."""
    _log.warning("the clock was set %s by %.0f s", "back" if by < 0 else "forward", abs(by))
    now = datetime.now(UTC)
    for job in scheduler.get_jobs():
        if isinstance(job.trigger, IntervalTrigger):
            job.modify(next_run_time=now)
        elif by < 0 and isinstance(job.trigger, CronTrigger):
            job.modify(next_run_time=job.trigger.get_next_fire_time(None, now))


def _manifest_watch(
    applied: Path, work: LongWork, scheduler: BackgroundScheduler
) -> Callable[[], None]:
    """Return what ends the agent when `up` was given another manifest: it is started anew.

    A backup or drill that is at work is waited for, and all that only looks goes on.
    """
    before = _text(applied)

    def changed() -> None:
        if _text(applied) == before:
            return
        at_work = " and ".join(work.leave())
        when = f" when {at_work} has ended" if at_work else ""
        _log.info("the manifest has changed: the agent begins anew%s", when)
        scheduler.remove_job("manifest")
        for job in scheduler.get_jobs():
            if job.id in _LEFT:
                job.remove()

    return changed


def _text(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _sampler(design: Design, ports: Ports) -> Sampler | None:
    if design.telemetry is None or ports.telemetry is None:
        return None
    return Sampler(design, design.telemetry, ports, ports.telemetry)


def _watching(design: Design, ports: Ports, sampler: Sampler) -> Callable[[], None]:
    """Return what is done each interval: look, then judge the rules, whatever came of looking."""
    alerting = alerting_of(design, ports, sampler)

    def watching() -> None:
        _tried(sampler.look, "sampling")
        if alerting is not None:
            _tried(alerting.look, "alerting")

    return watching


class _Backups:
    """The jobs of backups."""

    def __init__(
        self, design: Design, plan: BackupPlan, ports: Ports, backup: BackupPorts, work: LongWork
    ) -> None:
        self._work = work
        self._design = design
        self._plan = plan
        self._ports = ports
        self._backup = backup
        self._told: tuple[str, ...] = ()  # what was warned of last
        self._turn = threading.Lock()  # one of backup, verification, drill at a time

    def schedule(self, scheduler: BackgroundScheduler) -> None:
        """Add all jobs, with what is due at once."""
        now = datetime.now(UTC)
        _tried(self._backup.catalog.settle, "settling what killed runs left")
        plan, work = self._plan, self._work
        add = scheduler.add_job
        add(self._beat, IntervalTrigger(seconds=_BEAT), id="heartbeat", next_run_time=now)
        add(self._archive, IntervalTrigger(seconds=_SWEEP), id="archive", next_run_time=now)
        add(self._first, None, id="first")
        add(self._watch, IntervalTrigger(seconds=_WATCH), id="watch")
        add(self._make, _cron(plan.schedule), id="backup")
        add(self._drill, _cron(plan.drill), id="drill")
        if plan.incremental:
            add(self._increment, _cron(plan.incremental), id="incremental")
        if plan.mirror is not None:
            mirroring = Mirroring(self._design, plan, self._ports)
            copying = partial(work.do, mirroring.sweep, "a copy to object storage", beside=True)
            add(copying, IntervalTrigger(seconds=round(plan.mirror.interval)), id="mirror")
        if plan.export:
            add(self._export, _cron(plan.export), id="export")

    def _long(self, job: Callable[[], object], what: str) -> None:
        """Do what may last for hours; the agent does not leave beside it."""
        self._work.do(lambda: _tried(job, what), what)

    def _beat(self) -> None:
        _tried(lambda: heartbeat.beat(self._ports.sql), "the heartbeat")

    def _archive(self) -> None:
        """Take away what has arrived; asking costs nothing while nothing has."""
        arrived = [p for p in Path(self._plan.streaming).glob("*") if len(p.name) == 24]
        if arrived:
            _tried(self._backup.engine.archive, "archiving WAL")

    def _first(self) -> None:
        with self._turn:
            _tried(self._caught_up, "catching up")

    def _watch(self) -> None:
        """Make a new base backup where WAL is missing since the last: nothing follows on that."""
        if not self._turn.acquire(blocking=False):
            return  # a backup is being made, or judged
        try:
            self._long(self._mended, "looking for WAL that is missing")
        finally:
            self._turn.release()

    def _mended(self) -> None:
        told = backup_status.look(self._design, self._ports, answers=self._ports.sql.answers())
        for note in told.notes if told is not None and told.notes != self._told else ():
            _log.warning("%s", note)
        self._told = told.notes if told is not None else ()
        if told is None or not told.streamed or told.slot in backup_status.BAD:
            return  # the server is down, or `up` has to mend the slot before
        if _failed_long_ago(self._backup.catalog.runs(Task.BACKUP, limit=20)):
            self._made("again")
            return
        done = [b for b in self._backup.engine.backups() if b.state is State.DONE]
        if done and not followed(self._backup.files.names(), done[-1].begin_wal, done[-1].segment):
            _log.warning("WAL is missing since %s: a new base backup is made", done[-1].name)
            self._made("gap")

    def _caught_up(self) -> None:
        """Make the first backup, and what was missed while nobody was there."""
        done = [b for b in self._backup.engine.backups() if b.state is State.DONE]
        last = max((b.ended for b in done if b.ended), default=None)
        if last is None:
            self._long(lambda: self._made("first"), "the first backup")
        elif _missed(self._plan.schedule, last):
            self._long(lambda: self._made("missed"), "a missed backup")
        elif not self._is_judged(done[-1]):  # who made it was killed before
            verified = partial(self._verified, done[-1])
            self._long(lambda: backups.retried(verified, "missed"), "a missed verification")
        drills = self._backup.catalog.runs(Task.DRILL, limit=1)
        if last is not None and drills and _missed(self._plan.drill, drills[0].begun):
            self._long(lambda: self._drilled("missed"), "a missed drill")
        made = self._backup.catalog.runs(Task.EXPORT, limit=1)
        if self._plan.export and made and _missed(self._plan.export, made[0].begun):
            self._long(lambda: self._exported("missed"), "a missed export")

    def _make(self) -> None:
        with self._turn:
            self._long(lambda: self._made("schedule"), "a backup")

    def _increment(self) -> None:
        with self._turn:
            self._long(self._incremented, "an incremental backup")

    def _incremented(self) -> None:
        """Make one on top of the newest; a whole one where that fails, for it stands on nothing."""

        def attempt(why: str) -> None:
            parent = "" if why == "retry" else backups.newest(self._backup).name
            self._verified(backups.make(self._ports, why, parent=parent, gentle=True), why)

        backups.retried(attempt, "schedule")

    def _made(self, cause: str) -> None:
        """Make one, verify it, let go of old ones; each step once more where it fails."""

        def attempt(why: str) -> None:
            self._verified(backups.make(self._ports, why, gentle=cause == "schedule"), why)

        backups.retried(attempt, cause)
        backups.expire(self._design, self._ports, cause)

    def _verified(self, made: StoredBackup, cause: str) -> None:
        verification.verify(self._ports, cause, made.name)

    def _is_judged(self, made: StoredBackup) -> bool:
        """Say whether somebody verifies it or did to the end; it may have failed, and is told."""
        reached = {Ending.RUNNING, Ending.DONE, Ending.FAILED}
        runs = self._backup.catalog.runs(Task.VERIFY)
        return any(run.backup == made.name and run.ending in reached for run in runs)

    def _export(self) -> None:
        self._long(lambda: self._exported("schedule"), "an export")

    def _exported(self, cause: str) -> None:
        backups.retried(lambda why: exports.export(self._design, self._ports, why), cause)

    def _drill(self) -> None:
        with self._turn:
            self._long(lambda: self._drilled("schedule"), "a drill")

    def _drilled(self, cause: str) -> None:
        backups.retried(lambda why: drill(self._design, self._ports, why), cause)


def _cron(schedule: str) -> CronTrigger:
    return CronTrigger.from_crontab(schedule, timezone=UTC)


def _missed(schedule: str, last: datetime) -> bool:
    """Say whether a moment of the schedule lies between the last run and a minute ago."""
    due: datetime | None = _cron(schedule).get_next_fire_time(None, last)
    return due is not None and due < datetime.now(UTC) - timedelta(minutes=1)


def _failed_long_ago(runs: tuple[Run, ...]) -> bool:
    """Say whether the last of the runs failed, and long enough ago to try again."""
    last = next((run for run in runs if run.counts), None)
    going = bool(runs) and runs[0].ending is Ending.RUNNING
    if last is None or going or last.ending is Ending.DONE or last.ended is None:
        return False
    return datetime.now(UTC) - last.ended > timedelta(seconds=_AGAIN)


def _tried(job: Callable[[], object], what: str) -> None:
    """Do a job; a failure is logged, recorded by the job itself, and never ends the agent."""
    try:
        job()
    except SteadError as error:
        _log.error("%s failed: %s", what, error)
    except Exception:  # noqa: BLE001 - one job's bug must not end the others
        _log.exception("%s failed", what)
