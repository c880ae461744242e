"""The audit trail as a witness reads it: from where it ended when something began to be tried."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from pgstead.model.audit import LAG, AuditPlan, Place, moment
from pgstead.ports.audit import AuditPorts
from pgstead.prove.finding import Answer, CannotTryError, answer, timed
from pgstead.prove.witness import Witness

_SPARE = 8.0  # seconds beyond three intervals that the agent may take
Told = dict[str, Any]


def plan_of(w: Witness) -> AuditPlan:
    """Return how the stead is audited; the need `audit` has looked for it."""
    assert w.design.audit is not None
    return w.design.audit


def ports_of(w: Witness) -> AuditPorts:
    """Return what the trail is kept in."""
    found = w.access.ports.audit
    if found is None:
        raise CannotTryError("the audit trail is not at hand here")
    return found


def word() -> str:
    """Return a word that no one else writes; it is found in statements as a name."""
    return f"pgstead_proof_{secrets.token_hex(5)}"


@dataclass(frozen=True, slots=True)
class TrailTail:
    """What comes into the trail from some point on."""

    ports: AuditPorts
    start: Place | date
    patience: float

    @classmethod
    def at_end(cls, w: Witness) -> TrailTail:
        """Remember where the trail ends now."""
        ports = ports_of(w)
        patience = 3 * plan_of(w).interval + _SPARE
        return cls(ports, ports.trail.end() or date.min, patience)

    def settle(self, w: Witness) -> None:
        """Wait until all that was logged up to now is in, or the agent was given its time."""
        now = datetime.now(UTC) + timedelta(milliseconds=50)
        w.wait_until(lambda: self._settled() > now, self.patience + LAG)

    def _settled(self) -> datetime:
        told = str(self.ports.trail.notes().get("settled", ""))
        return moment(told) if told else datetime.min.replace(tzinfo=UTC)

    def naming(self, what: str) -> Answer[list[Told]]:
        """Return the events that name a word in whatever they say."""
        with timed() as watch:
            found = [
                dict(record.body)
                for _, record in self.ports.trail.following(self.start)
                if record is not None and what in json.dumps(dict(record.body), default=str)
            ]
        said = "; ".join(brief(event) for event in found[:6]) or "no such event"
        return answer(f"the audit trail: events that name {what}", said, found, watch)


_SHOWN = ("kind", "outcome", "role", "database", "client", "tenant", "correlation_id", "what")


def brief(event: Told) -> str:
    """Return an event as evidence shows it."""
    return ", ".join(f"{name}={event[name]}" for name in _SHOWN if event.get(name))
