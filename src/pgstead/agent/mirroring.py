"""What the agent does for the copy of the backups in object storage."""

from __future__ import annotations

import logging
import time

from pgstead.errors import SteadError
from pgstead.host import listing
from pgstead.model.backup import BackupPlan
from pgstead.model.design import Design
from pgstead.ports import Ports
from pgstead.workflows import mirror, segments

_log = logging.getLogger("pgstead.agent")


class Mirroring:
    """The job that copies what is new; a failure is told once, and tried again each time."""

    def __init__(self, design: Design, plan: BackupPlan, ports: Ports) -> None:
        """Keep what it works with."""
        self._design = design
        self._plan = plan
        self._ports = ports
        self._told = ""

    def sweep(self) -> None:
        """Copy what is new; close a segment of WAL first that has been open for long."""
        try:
            self._close_in_time()
            done = mirror.sweep(self._design, self._ports)
        except SteadError as error:
            if error.message != self._told:
                _log.error("copying to object storage failed: %s", error)
            self._told = error.message
            return
        except Exception:  # noqa: BLE001 - one job's bug must not end the others
            _log.exception("copying to object storage failed")
            return
        if self._told and done is not None:
            _log.info("copying to object storage works again")
            self._told = ""

    def _close_in_time(self) -> None:
        """Have what was written leave this machine within max_age, full segment or not."""
        plan, backup = self._plan.mirror, self._ports.backup
        if plan is None or backup is None or not self._ports.sql.answers():
            return
        there = listing.two_down(self._plan.wals)
        closed = max(map(listing.written, there), default=0.0)
        if closed and time.time() - closed > plan.max_age / 2:
            segments.close(self._ports)
