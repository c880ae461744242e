"""Trying indexes for `inspect indexes --check`: on a copy of the cluster, gone afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgstead.host import copied
from pgstead.plan.advice.indexes import candidates
from pgstead.workflows.index_trials import trials

if TYPE_CHECKING:
    from pgstead.cli.wiring import Wired
    from pgstead.model.advice import Answers, Trial
    from pgstead.ports import Progress

_ROOM = 512 * 1024**2  # bytes beside the copy, for the indexes that are tried


def tried(wired: Wired, answers: Answers, progress: Progress) -> tuple[Trial, ...]:
    """Return what the planner says. Raises BusyError, HostError, NotRunningError."""
    design = wired.design
    keys, statements = candidates(answers), answers.of("statements")
    if not keys and not statements:
        return ()
    first = design.databases[0].name
    wanted = copied.Wanted(design, wired.ports.sql, first, "", {}, _ROOM)
    with copied.running(wanted, progress) as copy:
        progress.step("trying indexes")
        return tuple(trials(copy.sql, design.build.major, keys, statements))
