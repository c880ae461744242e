"""Statements over time, side by side: how long calls took, and by which plans."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import pairwise

from pgstead.model.advice import Table
from pgstead.model.statements import LoggedPlan, StatementWindow, fingerprint
from pgstead.plan.advice.wording import one_line
from pgstead.plan.statement_windows import by_statement

SPANS = 4
SHOWN = 10
_LINES = 12  # of a plan


def tables(windows: Sequence[StatementWindow], since: datetime, at: datetime) -> Iterator[Table]:
    """Yield, for each database, what a call took in each quarter of the time."""
    if not windows:
        return
    begun = max(since, min(w.begun for w in windows))
    span = (at - begun) / SPANS
    edges = [begun + span * n for n in range(SPANS + 1)]
    grouped = by_statement(windows)
    for database in dict.fromkeys(key.database for key in grouped):
        own = [w for key, w in grouped.items() if key.database == database]
        own.sort(key=lambda ws: -sum(w.counts.seconds for w in ws))
        yield Table(
            f"{database}: a call of each statement over time, from {begun:%Y-%m-%d %H:%M} UTC",
            (*(f"to {edge:%H:%M:%S}" for edge in edges[1:]), "statement"),
            tuple(
                (*_means(found, edges), one_line(found[-1].query or found[-1].key.queryid))
                for found in own[:SHOWN]
            ),
            (*("s",) * SPANS, ""),
        )


def _means(found: Sequence[StatementWindow], edges: Sequence[datetime]) -> Iterator[float | str]:
    for low, high in pairwise(edges):
        inside = [w.counts for w in found if low < w.ended <= high]
        calls = sum(c.calls for c in inside)
        yield sum(c.seconds for c in inside) / calls if calls else "-"


def side_by_side(database: str, query: str, plans: Sequence[LoggedPlan]) -> tuple[str, ...]:
    """Return the newest plan, and the newest that differs from it; those are newest first."""
    known = fingerprint(query)
    own = [p for p in plans if p.statement == known and p.database == database]
    if not own:
        return ()
    other = next((p for p in own if p.shape != own[0].shape), None)
    return (*_shown("plan now", own[0]), *(_shown("plan before", other) if other else ()))


def _shown(label: str, plan: LoggedPlan) -> Iterator[str]:
    yield f"{label}, {plan.at:%Y-%m-%d %H:%M:%S} UTC, {plan.seconds:.2f} s:"
    yield from (f"  {line}" for line in plan.lines[:_LINES])
    if len(plan.lines) > _LINES:
        yield f"  ... {len(plan.lines) - _LINES} lines more"
