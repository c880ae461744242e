"""The runs of retention, partitions and integrity, for people and programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgstead.cli.backing import age, run_json
from pgstead.cli.console import Console, shortened
from pgstead.cli.invocation import invocation_of

if TYPE_CHECKING:
    from pgstead.model.backup import Run, Task


def show(tasks: tuple[Task, ...], limit: int) -> None:
    """Print the last runs of some jobs, newest first; killed ones are told as such."""
    from pgstead.cli.wiring import wire
    from pgstead.workflows.runs import care_of

    invocation = invocation_of()
    console = Console(invocation)
    wired = wire(invocation.manifest, console, tolerant=True)
    catalog = care_of(wired.ports).runs
    catalog.settle()
    runs = [run for run in catalog.runs(limit=1000) if run.task in tasks][:limit]
    if invocation.json:
        console.data({"runs": [run_json(run) for run in runs]})
        return
    if not runs:
        console.line("nothing was run yet")
        return
    console.table([_row(run) for run in runs], ("run", "job", "when", "took", "how", "what"))


def _row(run: Run) -> tuple[str, ...]:
    took = "" if run.seconds is None else f"{run.seconds:.1f} s"
    told = run.error or str(run.detail.get("told", ""))
    when = age(run.begun)
    return (f"#{run.number}", run.task, when, took, f"{run.ending} ({run.cause})", shortened(told))
