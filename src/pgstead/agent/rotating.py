"""The jobs of rotation: what was left is finished, what ends soon is renewed, by the clock."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from pgstead.errors import BusyError, SteadError
from pgstead.host import state
from pgstead.model.design import Design
from pgstead.ports import Ports
from pgstead.workflows import rotation

_log = logging.getLogger("pgstead.agent")
_LOOK = 60  # seconds between two looks for what was left, or ends soon
_BEGIN = 20  # seconds after the agent's start: `up` may hold the stead still


class Rotating:
    """Looks every minute, and changes passwords that are too old at their hour."""

    def __init__(self, design: Design, ports: Ports) -> None:
        """Keep what is rotated."""
        self._design = design
        self._ports = ports

    def schedule(self, scheduler: BackgroundScheduler) -> None:
        """Add the jobs."""
        begin = datetime.now(UTC) + timedelta(seconds=_BEGIN)
        cron = CronTrigger.from_crontab(self._design.rotation.schedule, timezone=UTC)
        scheduler.add_job(
            self._mend, IntervalTrigger(seconds=_LOOK), id="mend credentials", next_run_time=begin
        )
        scheduler.add_job(self._passwords, cron, id="passwords")

    def _mend(self) -> None:
        try:
            waiting = rotation.pending(self._design, self._ports)
        except SteadError as error:
            _log.error("looking at credentials failed: %s", error)
            return
        if waiting:  # else the stead is nobody's: who looks must not keep a command waiting
            self._held(lambda: rotation.mend(self._design, self._ports), "mending credentials")

    def _passwords(self) -> None:
        self._held(lambda: rotation.passwords_due(self._design, self._ports), "changing passwords")

    def _held(self, work: Callable[[], tuple[str, ...]], what: str) -> None:
        """Do it alone on the stead; while a command works on it, the next look comes soon."""
        try:
            with state.lock(self._design.layout, "the agent, rotating credentials"):
                done = work()
        except BusyError:
            return
        except SteadError as error:
            _log.error("%s failed: %s", what, error)
            return
        except Exception:  # noqa: BLE001 - one job's bug must not end the others
            _log.exception("%s failed", what)
            return
        if done:
            _log.info("rotated: %s", ", ".join(done))
