"""`pgstead inspect queries|indexes|bloat|locks|connections|vacuum|settings|io`."""

from __future__ import annotations

from pgstead.cli.command import Command, CommandGroup
from pgstead.cli.command import command as new_command
from pgstead.cli.console import Console
from pgstead.cli.invocation import invocation_of

LOOKED = "looked, whatever was found; what could not be seen is listed"
UNLOOKED = "the server does not answer, or refuses to"


def _inspected(name: str) -> None:
    from pgstead.cli.diagnosis import show
    from pgstead.cli.wiring import monitor_of, wire
    from pgstead.model.advice import Subject
    from pgstead.workflows.inspect import inspect

    invocation = invocation_of()
    console = Console(invocation)
    wired = wire(invocation.manifest, console, tolerant=True)
    subject = Subject(name)
    show(console, wired.design.name, inspect(wired.design, monitor_of(wired), subject))


def _simple(name: str, help_text: str, *examples: tuple[str, str]) -> Command:
    """Make a command that needs nothing but its subject."""

    def looked() -> None:
        _inspected(name)

    looked.__doc__ = help_text
    return new_command(name, *examples, exit_0=LOOKED, exit_1=UNLOOKED)(looked)


_queries = _simple(
    "queries",
    "Show the statements that take the most time, spill to disk, or got slower.",
    ("pgstead inspect queries", "the worst, and what to do"),
)
_locks = _simple(
    "locks",
    """Show who blocks whom, and transactions that are open for long.

    Each finding begins at the session that waits for nobody and has the others below it. The SQL
    ends just that session: its start is compared, as numbers are given out again.""",
    ("pgstead inspect locks", "the trees of who waits for whom"),
    ("pgstead inspect locks --json", "the same for programs"),
)

command = CommandGroup(
    "inspect",
    help="Look into the running server: findings, their evidence, the SQL that cures them.\n\nIt"
    " asks as the monitoring role, which reads statistics and no table, and changes nothing."
    " Figures say over which time they were counted; an estimate says that it is one.",
    examples=(
        ("pgstead inspect locks", "who blocks whom now"),
        ("pgstead inspect queries", "which statements take the time"),
        ("pgstead inspect vacuum --json", "for programs"),
    ),
)
for _part in (_queries, _locks):
    command.add_command(_part)
