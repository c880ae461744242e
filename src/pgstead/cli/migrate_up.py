"""`pgstead migrate up [DB...]`."""

from __future__ import annotations

import click

from pgstead.cli.command import command as new_command
from pgstead.cli.console import Console
from pgstead.cli.invocation import invocation_of
from pgstead.cli.migrate_run import Way, nothing_done, print_done, refuse_broken, run
from pgstead.cli.migrating import History, chosen
from pgstead.errors import UsageError


@new_command(
    "up",
    ("pgstead migrate up", "all that is pending, in all databases"),
    ("pgstead migrate up shop --to 5d1c7a", "up to a revision"),
    ("pgstead migrate up shop --reason 'ticket 812'", "the ledger keeps why"),
)
@click.argument("databases", nargs=-1, metavar="[DB]...")
@click.option("--to", metavar="REV", help="Stop behind this revision. [default: the head]")
@click.option("--reason", help="Why; kept in the ledger.")
def command(databases: tuple[str, ...], to: str | None, reason: str | None) -> None:
    """Apply what is pending, one transaction per revision.

    A lock that is not to be had in time is given up and tried again, so that nobody waits behind
    a migration; who is in the way is told. Run it again after a failure, whatever it was: what is
    in stays in, and nothing is done twice. Several at once are safe: one works, the others wait.
    """
    invocation = invocation_of()
    console = Console(invocation)
    entries = chosen(databases, invocation)
    if to is not None and len(entries) != 1:
        raise UsageError("--to needs to know of which database", hint="name one: DB --to REV")
    done: dict[str, object] = {}
    for entry in entries:
        history = History(entry, invocation)
        if to is None and history.at_its_heads:
            done[entry.name] = nothing_done(console, entry.name)
            continue
        refuse_broken(history, several="--to" if to is None else "")
        target = "heads" if to is None else to if to == "heads" else history.named(to)
        report = run(history, Way.UP, target, console, reason)
        done[entry.name] = print_done(console, entry.name, report)
    if invocation.json:
        console.data(done)
