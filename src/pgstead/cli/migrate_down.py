"""`pgstead migrate down DB REV`."""

from __future__ import annotations

import click

from pgstead.cli.command import command as new_command
from pgstead.cli.console import Console
from pgstead.cli.invocation import invocation_of
from pgstead.cli.migrate_loss import loss_of
from pgstead.cli.migrate_run import Way, print_done, refuse_broken, refuse_lost, run
from pgstead.cli.migrating import History, chosen
from pgstead.errors import NotAllowedError, UsageError


@new_command(
    "down",
    ("pgstead migrate down shop -1", "take the newest revision back"),
    ("pgstead migrate down shop 5d1c7a", "back to where this revision is the newest"),
    ("pgstead migrate down shop base --allow-loss", "to nothing, with all rows"),
    exits=(0, 1, 2, 3),
    exit_3="rows would be lost, and --allow-loss was not given",
)
@click.argument("database", metavar="DB")
@click.argument("revision", metavar="REV")
@click.option("--allow-loss", is_flag=True, help="Also where rows or values are lost by it.")
@click.option("--reason", help="Why; kept in the ledger.")
def command(database: str, revision: str, allow_loss: bool, reason: str | None) -> None:
    """Take revisions back until REV is the newest; `-1` is one, `base` all.

    What would be lost is told first: tables that have rows, columns that have values. With
    --allow-loss it is done nevertheless. At a merge, `-1` would be ambiguous: name the parent.
    """
    invocation = invocation_of()
    console = Console(invocation)
    history = History(chosen([database], invocation)[0], invocation)
    refuse_broken(history, several="")
    refuse_lost(history)
    target = _target(history, revision)
    if lost := loss_of(history, target):
        if not allow_loss:
            raise NotAllowedError(
                f"{database}: this would lose {'; '.join(lost)}",
                hint="make a backup, then --allow-loss",
            )
        console.warn(f"{database}: this loses {'; '.join(lost)}")
    done = print_done(console, database, run(history, Way.DOWN, target, console, reason))
    if invocation.json:
        console.data({database: {**done, "lost": lost}})


# `-1` is a revision
command.context_settings["ignore_unknown_options"] = True


def _target(history: History, told: str) -> str:
    """Return the revision that is to be the newest. Raises UsageError at a merge or a fork."""
    if told == "base":
        return told
    if not (told[:1] == "-" and told[1:].isdigit()):
        return history.named(told)
    parents = {file.name: file.parents for file in history.files}
    at = history.found.heads
    if len(at) > 1:
        raise UsageError(
            f"{told} is ambiguous: the database is at {' and '.join(at)}",
            hint=f"name the revision to go back to: pgstead migrate down {history.entry.name} REV",
        )
    name = at[0] if at else "base"
    for _ in range(int(told[1:])):
        above = parents.get(name, ())
        if len(above) > 1:
            raise UsageError(
                f"{told} is ambiguous: {name} merges {' and '.join(above)}",
                hint=f"name one: pgstead migrate down {history.entry.name} {above[0]}",
            )
        if name == "base":
            raise UsageError(f"{told} leads behind the first revision", hint="`base` is there")
        name = above[0] if above else "base"
    return name
