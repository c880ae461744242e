"""The agent's part of auditing: it collects, seals, and lets go of what is too old."""

from __future__ import annotations

import time

from pgstead.model.audit import AuditPlan
from pgstead.ports import Ports
from pgstead.ports.audit import AuditPorts
from pgstead.workflows import audit, change_history

_SEAL = 60.0  # seconds between two looks at the change histories
_EXPIRE = 3600.0


class Auditing:
    """Collects each interval; seals each minute."""

    def __init__(self, plan: AuditPlan, ports: Ports, auditing: AuditPorts) -> None:
        """Have everything due at once."""
        self._plan = plan
        self._ports = ports
        self._auditing = auditing
        self._seal_due = 0.0
        self._expiry_due = 0.0

    def look(self) -> None:
        """Do what is due. Raises SteadError."""
        audit.collect(self._plan, self._auditing)
        now = time.monotonic()
        if now >= self._expiry_due:
            audit.expire(self._plan, self._auditing)
            self._expiry_due = now + _EXPIRE
        if now >= self._seal_due and self._ports.sql.answers():
            change_history.keep(self._plan, self._ports.sql, self._auditing)
            self._seal_due = now + _SEAL
