"""One reader for the trail and the change histories: events, filtered, oldest first."""

from __future__ import annotations

import heapq
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any

from pgstead.model.audit import ACTIONS, AuditPlan, Kind, Place, Record, moment, parsed
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
        self._after: Place | date = _day(question.since)

    def new(self) -> Iterator[Told]:
        """Yield what was written since the last look. Raises HostError."""
        for place, record in self._ports.trail.following(self._after):
            self._after = place
            if record is not None and _meant(record, self._question):
                yield {"seq": record.seq, **record.body}


def _recorded(question: Question, ports: AuditPorts) -> Iterator[Told]:
    worth = _sieve(question)
    # a record is written after what it tells of, in a file of that day or a later one
    for _, line in ports.trail.lines(_day(question.since)):
        if not worth(line):
            continue
        try:
            record = parsed(line)
        except ValueError:
            continue  # `audit verify` tells of it
        if _meant(record, question):
            yield {"seq": record.seq, **record.body}


def _sieve(question: Question) -> Callable[[str], bool]:
    """Return what says of a line, unread, whether it may be asked for: to read it takes long.

    A record is written in one way alone; one that was edited into another is a flaw of the chain.
    """
    given = ((name, str(getattr(question, name))) for name in _EXACT)
    words = [f'"{name}":{json.dumps(v, ensure_ascii=False)}' for name, v in given if v]
    # an event may tell its time in another zone
    first = (_day(question.since) - timedelta(days=1)).isoformat()
    last = (min(_day(question.until), date.max - _SPARE) + timedelta(days=1)).isoformat()

    def worth(line: str) -> bool:
        begin = line.find(_AT) + len(_AT)
        return first <= line[begin : begin + 10] <= last and all(word in line for word in words)

    return worth


_AT = '"at":"'
_SPARE = timedelta(days=1)


def _day(moment: datetime) -> date:
    """Return the day that a moment is in by the calendar of the trail's files."""
    return moment.astimezone(UTC).date()


def _meant(record: Record, question: Question) -> bool:
    try:
        at = moment(str(record.body["at"])).astimezone(UTC)
    except (KeyError, ValueError):
        return False  # `audit verify` tells of it
    return question.since <= at < question.until and question.wants(record.body)


def _at(told: Told) -> datetime:
    return moment(str(told["at"])).astimezone(UTC)
