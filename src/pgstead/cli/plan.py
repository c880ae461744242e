"""`pgstead plan`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgstead.cli.command import command as new_command
from pgstead.cli.console import Console
from pgstead.cli.invocation import invocation_of
from pgstead.errors import ExitStatus
from pgstead.model.operation import Impact, Plan

if TYPE_CHECKING:
    from pgstead.model.design import Design


@new_command(
    "plan",
    ("pgstead plan", "one line per operation: sign, capability, what, change, impact"),
    ("pgstead plan --json", "the same for programs"),
    exits=(0, 1, 2, 3),
    exit_0="nothing to change",
    exit_3="something would change, or could not be seen",
)
def command() -> int:
    """Show what `up` would change, and what each change costs.

    Nothing is changed. With the server down, what its tables hold cannot be seen; the plan says
    so, and `up` looks again once the server runs.
    """
    from pgstead.cli.wiring import wire
    from pgstead.plan import wording
    from pgstead.workflows.planning import plan as make_plan

    invocation = invocation_of()
    console = Console(invocation)
    wired = wire(invocation.manifest, console)
    plan = make_plan(wired.design, wired.ports)
    if invocation.json:
        console.data({"stead": wired.design.name, **wording.as_json(plan)})
    else:
        print_plan(console, wired.design, plan)
    return ExitStatus.DONE if plan.empty else ExitStatus.DRIFT


def print_plan(console: Console, design: Design, plan: Plan) -> None:
    """Print a plan for people."""
    from pgstead.plan import wording

    if plan.empty:
        console.line(f'plan for stead "{design.name}": nothing to change')
        return
    console.line(f'plan for stead "{design.name}"')
    console.line()
    console.table([list(row) for row in wording.lines(plan)], indent="  ")
    if plan.unknown:
        console.line()
        for reason, kinds in _unseen(plan).items():
            console.line(f"  not seen yet: {', '.join(kinds)} ({reason})")
    console.line()
    console.line(_summary(plan))
    allow = f" --allow {plan.worst.word}" if plan.worst > Impact.RELOAD else ""
    console.hint(f"`pgstead up{allow}`")


def _unseen(plan: Plan) -> dict[str, list[str]]:
    reasons: dict[str, list[str]] = {}
    for what, why in plan.unknown:
        reasons.setdefault(why, []).append(what)
    return reasons


def _summary(plan: Plan) -> str:
    count = len(plan.operations)
    if not count:
        return "no operation is certain yet"
    return f"{count} operation{'s' if count > 1 else ''}; worst impact: {plan.worst.word}"
