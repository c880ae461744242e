"""Collecting what was logged into the trail, looking it up, and looking whether it is whole."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from pgstead.model.audit import LAG, AuditPlan, Event, Head, Kind, Outcome, Place, Verified
from pgstead.model.audit_chain import followed
from pgstead.plan.journal_lines import operation
from pgstead.plan.pooler_lines import refusal
from pgstead.plan.trail import Line, Sessions, events
from pgstead.ports.audit import AuditPorts, Mark, Stretch

if TYPE_CHECKING:
    from pgstead.ports.audit import LogReader, TrailStore

_MOST = 64  # stretches of one collection; the next one goes on


@dataclass
class _Reading:
    """How far everything was read, and what was written since that was noted."""

    server: Mark
    pooler: Mark
    journal: Mark
    sessions: Sessions
    settled: str = ""  # up to when all that was logged is in the trail
    written: Mapping[tuple[str, int], str] = field(default_factory=dict[tuple[str, int], str])

    def new(self, event: Event) -> bool:
        """Say whether an event is not in the trail yet: a crash may lie between it and the note."""
        if event.source is None:
            return True
        known = self.written.get((event.source.file, event.source.offset))
        return known is None or (event.outcome is Outcome.DENIED and known != Outcome.DENIED)


def collect(plan: AuditPlan, ports: AuditPorts) -> int:
    """Take over what was logged and is settled; return how many events. Raises HostError.

    One collection runs at a time; another one waits for it.
    """
    with ports.trail.writing():
        reading = _read_notes(ports.trail)
        count = 0
        for _ in range(_MOST):
            found, more = _looked(plan, ports, reading)
            head = ports.trail.append([e.told() for e in found])
            ports.trail.note({**ports.trail.notes(), **_noted(reading, head)})
            count += len(found)
            if not more:
                break
        return count


def _looked(plan: AuditPlan, ports: AuditPorts, reading: _Reading) -> tuple[list[Event], bool]:
    until = datetime.now(UTC) - timedelta(seconds=LAG)
    stretch = ports.server_log.read(reading.server)
    lines = [_line(mark, text) for mark, text in stretch.lines]
    found = list(_gap(stretch))
    before = reading.server
    if stretch.more and lines:
        # what follows on the last lines is not at hand yet
        until = min(until, lines[-1].at - timedelta(seconds=LAG))
        until = max(until, lines[0].at)
    elif not stretch.more:
        reading.settled = until.isoformat()
    for line, event in events(lines, reading.sessions, until, plan):
        reading.server = _mark(stretch, line)
        if event is not None and reading.new(event):
            found.append(event)
    if ports.pooler_log is not None:
        found += _refusals(ports.pooler_log, reading)
    found += _operations(ports.journal, reading)
    return found, reading.server != before


def _line(mark: Mark, text: bytes) -> Line:
    try:
        # a name that somebody tries to log in with may be any bytes
        told: Any = json.loads(text.decode(errors="replace"))
    except ValueError:
        told = {}
    place = Place(mark.file, mark.offset)
    return Line(place, told if isinstance(told, dict) else {})  # pyright: ignore[reportUnknownArgumentType]


def _mark(stretch: Stretch, line: Line) -> Mark:
    first = stretch.lines[0][0]
    return Mark(line.end.file, first.born, line.end.offset)


def _gap(stretch: Stretch) -> Iterator[Event]:
    if stretch.gap:
        yield Event(at=_now(), kind=Kind.GAP, what=stretch.gap)


def _refusals(log: LogReader, reading: _Reading) -> Iterator[Event]:
    stretch = log.read(reading.pooler)
    yield from _gap(stretch)
    for mark, text in stretch.lines:
        reading.pooler = mark
        event = refusal(text.decode(errors="replace"), Place(mark.file, mark.offset))
        if event is not None and reading.new(event):
            yield event


def _operations(journal: LogReader, reading: _Reading) -> Iterator[Event]:
    stretch = journal.read(reading.journal)
    for mark, text in stretch.lines:
        reading.journal = mark
        line = _line(mark, text)
        event = operation(line.told, line.end)
        if event is not None and reading.new(event):
            yield event


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _noted(reading: _Reading, head: Head) -> Mapping[str, Any]:
    return {
        "seq": head.seq,
        "settled": reading.settled,
        "server": [reading.server.file, reading.server.born, reading.server.offset],
        "pooler": [reading.pooler.file, reading.pooler.born, reading.pooler.offset],
        "journal": [reading.journal.file, reading.journal.born, reading.journal.offset],
        "sessions": reading.sessions.as_dict(),
    }


def _read_notes(trail: TrailStore) -> _Reading:
    notes = trail.notes()
    server, pooler, journal = (
        Mark(*notes.get(log, ("", "", 0))) for log in ("server", "pooler", "journal")
    )
    reading = _Reading(server, pooler, journal, Sessions.of(notes.get("sessions", {})))
    if trail.head().seq > int(notes.get("seq", 0)):
        reading.written = _written_since(trail, int(notes.get("seq", 0)))
    return reading


def _written_since(trail: TrailStore, seq: int) -> dict[tuple[str, int], str]:
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    found: dict[tuple[str, int], str] = {}
    for _, record in trail.records(yesterday):
        source = record.body.get("source") if record is not None and record.seq > seq else None
        if record is not None and source is not None:
            place = (str(source["file"]), int(source["offset"]))
            found[place] = str(record.body.get("outcome", ""))
    return found


def verify(ports: AuditPorts, noted: tuple[int, str] | None = None) -> Verified:
    """Follow the chain from its first record to its last. Raises HostError.

    `noted` is a head that somebody kept elsewhere.
    """
    anchors = [*ports.trail.anchors(), *([Head(*noted)] if noted else [])]
    return followed(ports.trail.lines(), anchors)


def expire(plan: AuditPlan, ports: AuditPorts) -> int:
    """Let go of what is older than its retention; the trail says so. Raises HostError."""
    limit: date = (datetime.now(UTC) - timedelta(seconds=plan.retention)).date()
    with ports.trail.writing():
        aged = ports.trail.aged(limit)
        # told before it is done: a file that is gone untold would be missed for ever
        ports.trail.append([
            Event(
                at=_now(), kind=Kind.EXPIRED, what=f"{name} was removed by retention",
                detail={"seq": last.seq, "hash": last.hash},
            ).told()
            for name, last in aged
        ])  # fmt: skip
        for name, _ in aged:
            ports.trail.remove(name)
    return len(aged)
