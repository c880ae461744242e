"""One reader for the trail and the change histories: events, filtered, oldest first."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from fnmatch import fnmatchcase
from typing import Any

from pgstead.model.audit import ACTIONS, AuditPlan, Kind, Place, Record, moment
from pgstead.ports import Sql
from pgstead.ports.audit import AuditPorts
from pgstead.workflows import change_history

Told = Mapping[str, Any]

_EXACT = ("role", "database", "tenant", "user", "correlation_id", "outcome", "session")


@dataclass(frozen=True, slots=True)
class Question:
    """Which events are asked for. Empty means any; `object` and `client` may hold `*`."""

    since: datetime
    until: datetime
    kinds: tuple[str, ...] = ()
    role: str = ""
    database: str = ""
    tenant: str = ""
    user: str = ""
    correlation_id: str = ""
    outcome: str = ""
    session: str = ""
    client: str = ""
    object: str = ""
    table_class: str = ""

    def wants(self, told: Told) -> bool:
        """Say whether an event is asked for."""
        kinds = self.kinds or (*ACTIONS, Kind.CHANGE, Kind.GAP)
        if told.get("kind") not in kinds:
            return False
        exact = ((name, str(getattr(self, name))) for name in _EXACT)
        if any(value and told.get(name) != value for name, value in exact):
            return False
        if self.client and not fnmatchcase(str(told.get("client", "")), self.client):
            return False
        if self.table_class and self.table_class not in told.get("classes", ()):
            return False
        objects = told.get("objects", ())
        return not self.object or any(fnmatchcase(str(o), self.object) for o in objects)


def ask(question: Question, plan: AuditPlan, ports: AuditPorts, port: Sql | None) -> Iterator[Told]:
    """Yield the events of the trail, and with a server the rows of the histories among them."""
    found = [_recorded(question, ports)]
    if port is not None and Kind.CHANGE in (question.kinds or (Kind.CHANGE,)):
        changes = change_history.changes(plan, port, question.since, question.until)
        found.append(iter(sorted((c for c in changes if question.wants(c)), key=_at)))
    yield from heapq.merge(*found, key=_at)


class Following:
    """The events of a trail as they come: each look reads on where the last one ended."""

    def __init__(self, question: Question, ports: AuditPorts) -> None:
        """Begin with the day that the question begins with."""
        self._question = question
        self._ports = ports
        self._after: Place | date = question.since.date()

    def new(self) -> Iterator[Told]:
        """Yield what was written since the last look. Raises HostError."""
        for place, record in self._ports.trail.following(self._after):
            self._after = place
            if record is not None and _meant(record, self._question):
                yield {"seq": record.seq, **record.body}


def _recorded(question: Question, ports: AuditPorts) -> Iterator[Told]:
    # a record is written after what it tells of, in a file of that day or a later one
    for _, record in ports.trail.records(question.since.date()):
        if record is not None and _meant(record, question):
            yield {"seq": record.seq, **record.body}


def _meant(record: Record, question: Question) -> bool:
    if "at" not in record.body:
        return False
    at = moment(str(record.body["at"]))
    return question.since <= at < question.until and question.wants(record.body)


def _at(told: Told) -> datetime:
    return moment(str(told["at"])).astimezone(UTC)
