"""The checklist for production, ticked by what was tried."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pgstead.catalog.readiness import CHECKLIST, Point
from pgstead.prove.finding import Verdict
from pgstead.prove.report import Report

_MARKS = {"kept": "x", "broken": "!", "unproven": " ", "by hand": "?"}


@dataclass(frozen=True, slots=True)
class Tick:
    """A point, judged."""

    section: str
    text: str
    state: str  # kept, broken, unproven, by hand
    codes: tuple[str, ...]
    why: str = ""


def ticks(report: Report) -> tuple[Tick, ...]:
    """Judge every point: one promise that is broken breaks it, one unproven leaves it open."""
    found = {o.promise.code: (o.verdict, o.reason) for o in report.outcomes}
    return tuple(
        _tick(title, point, found) for title, points in CHECKLIST.items() for point in points
    )


def _tick(title: str, point: Point, found: Mapping[str, tuple[Verdict, str]]) -> Tick:
    if not point.codes:
        return Tick(title, point.text, "by hand", ())
    for verdict in (Verdict.BROKEN, Verdict.UNPROVEN):
        for code in point.codes:
            state, why = found.get(code, (Verdict.UNPROVEN, "not tried"))
            if state is verdict:
                return Tick(title, point.text, verdict.value, point.codes, f"{code}: {why}")
    return Tick(title, point.text, Verdict.KEPT.value, point.codes)


def lines(report: Report) -> Iterator[str]:
    """Yield the list for people: [x] kept, [!] broken, [ ] not shown, [?] to be answered for."""
    section = ""
    for tick in ticks(report):
        if tick.section != section:
            section = tick.section
            yield section
        why = f" - {tick.why}" if tick.why else ""
        yield f"  [{_MARKS[tick.state]}] {tick.text}{why}"
