"""`pgstead drill`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pgstead.cli.backing import backed_up, moment
from pgstead.cli.command import command as new_command
from pgstead.cli.console import Console
from pgstead.cli.invocation import invocation_of

if TYPE_CHECKING:
    from pgstead.model.backup import Target


@new_command(
    "drill",
    ("pgstead drill", "the newest backup, to the last moment"),
    ("pgstead drill --backup 20261121T020000", "another one"),
    ("pgstead drill --to-time 2026-11-21T14:05:00+01:00", "to a moment"),
    exit_1="it could not be restored, or what was restored is not right",
)
@click.option("--backup", "name", metavar="NAME", default="", help="Which. [default: the newest]")
@moment
def command(target: Target, name: str) -> None:
    """Restore the newest backup apart, and question it.

    It is removed afterwards. Every heap page and every index is read, rows, roles and policies are
    looked for, and the agent's ledger must be there up to its last row. How long it took and how
    much would have been lost is measured, and kept as the last proven restore.
    """
    from pgstead.workflows.drill import as_json, drill

    invocation = invocation_of()
    console = Console(invocation)
    with console.working():
        wired = backed_up(invocation, console)
        drilled = drill(wired.design, wired.ports, "command", name=name, target=target)
    if invocation.json:
        console.data(as_json(drilled))
        return
    for words in drilled.passed:
        console.line(f"  {words}")
    lost = "" if drilled.rpo is None else f", {drilled.rpo:.1f} s and {drilled.lost} rows lost"
    console.line(f"{drilled.backup} restored in {drilled.rto:.1f} s{lost}")
