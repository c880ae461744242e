"""`pgstead migrate down DB REV`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pgstead.cli.command import command as new_command
from pgstead.cli.console import Console
from pgstead.cli.gate import MigrationGate, Wanted
from pgstead.cli.invocation import invocation_of
from pgstead.cli.migrate_loss import loss_of
from pgstead.cli.migrate_run import Way, print_done, refuse_broken, refuse_lost, run
from pgstead.cli.migrating import History, chosen
from pgstead.errors import NotAllowedError, UsageError

if TYPE_CHECKING:
    from pgstead.model.history import RevisionFile


@new_command(
    "down",
    ("pgstead migrate down shop -1", "take the newest revision back"),
    ("pgstead migrate down shop 5d1c7a", "back to where this revision is the newest"),
    ("pgstead migrate down shop base --allow-loss", "to nothing, with all rows"),
    exits=(0, 1, 2, 3),
    exit_3="rows would be lost, or in production a condition is not met; nothing was done",
)
@click.argument("database", metavar="DB")
@click.argument("revision", metavar="REV")
@click.option("--allow-loss", is_flag=True, help="Also where rows or values are lost by it.")
@click.option("--reason", help="Why; kept in the ledger.")
@click.option(
    "--override",
    metavar="REASON",
    help="Production: although a condition is not met. The ledger keeps what was skipped, and why.",
)
def command(
    database: str, revision: str, allow_loss: bool, reason: str | None, override: str | None
) -> None:
    """Take revisions back until REV is the newest; `-1` is one, `base` all.

    What would be lost is told first: tables that have rows, columns that have values. With
    --allow-loss it is done nevertheless. At a merge, `-1` would be ambiguous: name the parent.

    In production the conditions of `pgstead migrate up` count for the way back too, all but the
    lint: a rehearsal tried both ways.
    """
    invocation = invocation_of()
    console = Console(invocation)
    history = History(chosen([database], invocation)[0], invocation)
    refuse_broken(history, several="")
    refuse_lost(history)
    target = _target(history, revision)
    gate = MigrationGate(invocation, console, override)
    goes = Wanted(history, _taken_back(history, target), linted=False)
    if lost := loss_of(history, target):
        if not allow_loss:
            raise NotAllowedError(
                f"{database}: this would lose {'; '.join(lost)}",
                hint="make a backup, then --allow-loss",
            )
        console.warn(f"{database}: this loses {'; '.join(lost)}")
    gate.examine([goes])
    passage = gate.enter(goes)
    told = " ".join(filter(None, (reason, passage.remark))) or None
    done = print_done(console, database, run(history, Way.DOWN, target, console, told), passage)
    if invocation.json:
        console.data({database: {**done, "lost": lost}})


# `-1` is a revision
command.context_settings["ignore_unknown_options"] = True


def _taken_back(history: History, target: str) -> tuple[RevisionFile, ...]:
    """Return the revisions that go, the newest first."""
    from pgstead.plan import history as planned

    files = history.files
    stays = planned.applied(files, [] if target == "base" else [target])
    goes = planned.applied(files, history.found.heads) - stays
    return tuple(file for file in reversed(planned.ordered(files)) if file.name in goes)


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
