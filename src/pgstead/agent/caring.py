"""The jobs that care for data: partitions, retention, integrity, by the clock."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC

from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger

from pgstead.host.side_jobs import SideJobs
from pgstead.model.design import Design

_log = logging.getLogger("pgstead.agent")


class Caring:
    """Starts each job at its time; one at a time, each a process of its own."""

    def __init__(self, design: Design) -> None:
        """Keep what is done when: nothing where no models declare anything."""
        self._plan = design.care
        self._declared = any(plan.models for plan in design.databases)
        self._jobs = SideJobs(design.layout)

    def schedule(self, scheduler: BackgroundScheduler) -> None:
        """Add the jobs that have a time."""
        plan = self._plan
        jobs = {"partitions": plan.partitions, "retention": plan.retention}
        for name, when in {**jobs, "integrity": plan.integrity}.items():
            if when and self._declared:
                trigger = CronTrigger.from_crontab(when, timezone=UTC)
                scheduler.add_job(self._job(name), trigger, id=name)

    def _job(self, name: str) -> Callable[[], None]:
        def done() -> None:
            try:
                self._jobs.run(name)
            except Exception:  # noqa: BLE001 - one job's bug must not end the others
                _log.exception("%s failed", name)

        return done

    def end(self) -> None:
        """End what runs."""
        self._jobs.end()
