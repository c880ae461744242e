"""What ails now: who waits for whom, and the statements that took the most time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pgstead.app.dashboard import figures
from pgstead.app.dashboard.markup import Child, Html, join, table, tag
from pgstead.app.dashboard.page import state, unknown
from pgstead.app.telemetry.samples import Note, Spent

_LONG = 160  # characters; `pgstead inspect queries` has all
_NEVER = "the agent has not looked yet"
_HEADS = ("statement", "database", "role", "calls", "mean", "in all", "rows")


def trees(note: Note | None) -> Html:
    """Show who waits for whom; the one that waits for nobody stands first in each tree."""
    title = tag("h3", "Who waits for whom")
    if note is None:
        return join([title, unknown(_NEVER)])
    found: Sequence[Mapping[str, Any]] = note.body["trees"]
    if note.body["reason"]:
        return join([title, unknown(note.body["reason"])])
    if not found:
        return join([title, tag("p", "Nobody waits for a lock.")])
    seen = f"As the agent saw it at {figures.moment(note.at)}. "
    how = (tag("code", "pgstead inspect locks"), " has the SQL that ends just the first session.")
    return join([title, tag("p", seen, how, class_="small"), *map(_tree, found)])


def _tree(told: Mapping[str, Any]) -> Html:
    evidence = told["evidence"]
    longest = figures.figure(evidence.get("longest wait", evidence.get("transaction open")), "s")
    return tag(
        "section",
        tag("p", state(told["severity"]), f" {told['database']}: {told['says']}, for {longest}"),
        # as a list: its depth is heard as well as seen
        _listed([(len(line) - len(line.lstrip())) // 2 for line in told["lines"]], told["lines"]),
        tag("p", told["do"], class_="small"),
        class_="card",
    )


def _listed(levels: Sequence[int], lines: Sequence[str]) -> Html:
    """Return nested lists of lines by their depth."""
    items: list[Child] = []
    at = 0
    while at < len(lines):
        end = at + 1
        while end < len(lines) and levels[end] > levels[at]:
            end += 1
        below = _listed(levels[at + 1 : end], lines[at + 1 : end]) if end > at + 1 else None
        items.append(tag("li", lines[at].strip(), below))
        at = end
    return tag("ul", items, class_="tree")


def slowest(spent: Sequence[Spent], hours: int) -> Html:
    """Show the statements that took the most time."""
    title = tag("h3", "Statements that took the most time")
    if not spent:
        return join([title, unknown("no window of statements was sampled in this time")])
    shown = table(f"of the last {figures.span(hours * 3600)}", _HEADS, map(_row, spent))
    return join([title, shown])


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONG else f"{line[: _LONG - 3]}..."


def _row(spent: Spent) -> Sequence[Child]:
    return (
        tag("code", _cut(spent.query) or f"number {spent.queryid}"),
        spent.database,
        spent.role,
        tag("span", figures.number(spent.calls), class_="n"),
        tag("span", figures.span(spent.seconds / spent.calls), class_="n"),
        tag("span", figures.span(spent.seconds), class_="n"),
        tag("span", figures.number(spent.rows), class_="n"),
    )
