"""`pgstead capacity`."""

from __future__ import annotations

from pgstead.cli.command import command as new_command
from pgstead.cli.console import Console
from pgstead.cli.invocation import invocation_of


@new_command(
    "capacity",
    ("pgstead capacity", "the dates, and from how many samples"),
    ("pgstead capacity --json", "for programs"),
    exit_0="looked, whatever was found; what is not known is listed",
)
def command() -> None:
    """Show when disk, connections and sequences run out.

    The same as `pgstead inspect forecast`. The agent reckons it, too: an alert is raised thirty
    days before, a critical one seven days before (CapacityEnds).
    """
    from pgstead.cli.diagnosis import show
    from pgstead.cli.wiring import wire
    from pgstead.workflows.inspect import foresee

    invocation = invocation_of()
    console = Console(invocation)
    wired = wire(invocation.manifest, console, tolerant=True)
    watching = wired.ports.telemetry
    show(console, wired.design.name, foresee(watching.store if watching is not None else None))
