"""`pgstead backup mirror`."""

from __future__ import annotations

import click

from pgstead.cli.backing import backed_up, size
from pgstead.cli.command import command as new_command
from pgstead.cli.console import Console
from pgstead.cli.invocation import invocation_of


@new_command(
    "mirror",
    ("pgstead backup mirror", "copy what is new, now"),
    ("pgstead backup mirror --repair", "read all of the copy, and mend what is not whole"),
)
@click.option("--repair", is_flag=True, help="Read every object, and copy again what is not whole.")
@click.option("--take-over", is_flag=True, help="Go on with the copy of a stead that is gone.")
@click.option("--anew", is_flag=True, help="Although the index that is there cannot be trusted.")
def command(repair: bool, take_over: bool, anew: bool) -> None:
    """Copy what is new in the repository to object storage (`[backup.s3]`).

    The agent does it all the time. Base backups and WAL go there as encrypted as they lie here.
    What `expire` lets go of here goes there too; what is gone here for another reason stays.
    """
    from pgstead.workflows.mirror import Manner, copy

    invocation = invocation_of()
    console = Console(invocation)
    with console.working():
        wired = backed_up(invocation, console)
        manner = Manner(take_over=take_over, anew=anew, repair=repair)
        done = copy(wired.design, wired.ports, "command", manner)
    if invocation.json:
        console.data(done)
        return
    told = f"{done.copied} copied ({size(done.bytes)}), {done.removed} removed"
    console.line(f"{done.place}: {done.objects} objects, {size(done.size)}; {told}")
    if done.strays:
        console.line(f"{len(done.strays)} of them are not in the repository any more, and stay")
