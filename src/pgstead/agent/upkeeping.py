"""The agent's part of upkeep: a run in each window, and what a killed one left is finished."""

from __future__ import annotations

import logging
import threading
from datetime import UTC, datetime, timedelta

from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger

from pgstead.errors import BusyError, SteadError
from pgstead.model.design import Design
from pgstead.model.upkeep import Outcome
from pgstead.ports import Ports
from pgstead.workflows import upkeep

_log = logging.getLogger("pgstead.agent")
_ENDED = (Outcome.DONE, Outcome.FAILED, Outcome.DEFERRED)


class Upkeeping:
    """Opens a window by the clock; opens the one again that is not over and was cut short."""

    def __init__(self, design: Design, ports: Ports, ended: threading.Event) -> None:
        """Keep what is kept up, and what says that the agent is to end."""
        self._design = design
        self._ports = ports
        self._ended = ended

    def schedule(self, scheduler: BackgroundScheduler) -> None:
        """Add the jobs, where the manifest wants windows."""
        if self._design.upkeep is None or not self._design.upkeep.automatic:
            return
        scheduler.add_job(self._window, self._cron(), id="upkeep")
        scheduler.add_job(self._resume, None, id="upkeep left")

    def _cron(self) -> CronTrigger:
        return CronTrigger.from_crontab(upkeep.plan_of(self._design).schedule, timezone=UTC)

    def _window(self) -> None:
        self._run("schedule", upkeep.plan_of(self._design).window)

    def _resume(self) -> None:
        """Go on in a window that is open still, where nobody has come to an end in it."""
        window = upkeep.plan_of(self._design).window
        now = datetime.now(UTC)
        opened = self._opened(now - timedelta(seconds=window), now)
        if opened is None:
            self._settle()
            return
        left = window - (now - opened).total_seconds()
        if not self._done_since(opened):
            self._run("resumed", left)

    def _opened(self, earliest: datetime, now: datetime) -> datetime | None:
        """Return when the window opened that is open now; the last one where several are."""
        cron = self._cron()
        opened: datetime | None = None
        at: datetime | None = cron.get_next_fire_time(None, earliest)
        while at is not None and at <= now:
            opened = at
            at = cron.get_next_fire_time(at, at + timedelta(seconds=1))
        return opened

    def _settle(self) -> None:
        try:
            upkeep.history_of(self._ports).settle()
        except SteadError as error:
            _log.error("looking at the history of upkeep failed: %s", error)

    def _done_since(self, moment: datetime) -> bool:
        try:
            runs = upkeep.history_of(self._ports).runs()
        except SteadError as error:
            _log.error("looking at the history of upkeep failed: %s", error)
            return True
        return any(r.whole and r.begun >= moment and r.outcome in _ENDED for r in runs)

    def _run(self, cause: str, seconds: float) -> None:
        try:
            report = upkeep.run(self._design, self._ports, cause, seconds=seconds, stop=self._ended)
        except BusyError as error:
            _log.warning("upkeep did not begin: %s", error)
        except SteadError as error:
            _log.error("upkeep failed: %s", error)
        except Exception:  # noqa: BLE001 - one job's bug must not end the others
            _log.exception("upkeep failed")
        else:
            _log.info("upkeep: %d chores, %s", len(report.chores), report.outcome)
            for chore in report.chores:
                if chore.outcome is Outcome.FAILED:
                    _log.error(
                        "upkeep: %s of %s.%s failed: %s",
                        *(chore.work, chore.schema, chore.name, chore.error),
                    )
