"""`pgstead restart`."""

from __future__ import annotations

import click

from pgstead.cli.command import command as new_command
from pgstead.cli.console import Console
from pgstead.cli.invocation import invocation_of


@new_command(
    "restart",
    ("pgstead restart", "the server, with the pooler's clients waiting"),
    ("pgstead restart --patience 60", "let long transactions end first"),
    ("pgstead restart --anyway", "they fail where they do not end"),
    exit_1="it was not restarted, or did not come back",
)
@click.option(
    "--patience",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    default=10.0,
    show_default=True,
    help="How long open transactions may take to end; new ones wait meanwhile.",
)
@click.option("--anyway", is_flag=True, help="Restart then all the same: those that are open fail.")
def command(patience: float, anyway: bool) -> None:
    """Restart the server without an error for the pooler's clients.

    What is in memory is written first, the pooler then lets no new transaction begin, those that
    are open end, the server restarts, and all go on. That is how the binaries of a new minor
    release come into use. Clients of the direct door are cut off.
    """
    from pgstead.cli.wiring import locked, refuse_half_upgraded, wire
    from pgstead.workflows.restart import restart

    invocation = invocation_of()
    console = Console(invocation)
    with console.working():
        wired = wire(invocation.manifest, console)
        with locked(wired):
            refuse_half_upgraded(wired.design.layout)
            stall = restart(wired.ports, patience=patience, anyway=anyway)
    if invocation.json:
        console.data(stall)
        return
    console.line(f"postgres {wired.design.build.version} runs, started anew")
    if stall.pooled:
        told = f"{stall.seconds:.2f} s at most, {stall.pausing:.2f} s of it for others to end"
        console.line(f"a client of the pooler waited {told}")
    else:
        console.line(f"nobody was served for {stall.seconds:.2f} s: there is no pooler")
