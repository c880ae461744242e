"""`pgstead migrate status [DB...]`."""

from __future__ import annotations

import click

from pgstead.cli.command import command as new_command
from pgstead.cli.console import Console
from pgstead.cli.invocation import invocation_of
from pgstead.cli.migrating import History, chosen
from pgstead.errors import ExitStatus


@new_command(
    "status",
    ("pgstead migrate status", "where all databases are, and what is pending"),
    ("pgstead migrate status shop --json", "one of them, for programs"),
    exits=(0, 1, 2, 3),
    exit_0="nothing is pending, and the history agrees",
    exit_3="something is pending, or the history disagrees",
)
@click.argument("databases", nargs=-1, metavar="[DB]...")
def command(databases: tuple[str, ...]) -> int:
    """Say where the databases are, what is pending, and what is wrong with the history.

    Nothing is changed. `pgstead migrate check` also compares the schema itself.
    """
    invocation = invocation_of()
    console = Console(invocation)
    histories = [History(entry, invocation) for entry in chosen(databases, invocation)]
    if invocation.json:
        console.data({h.entry.name: _plain(h) for h in histories})
    else:
        for history in histories:
            _print(console, history)
    clean = all(not h.pending and not h.problems for h in histories)
    return ExitStatus.DONE if clean else ExitStatus.DRIFT


def _plain(history: History) -> dict[str, object]:
    return {
        "at": history.found.heads,
        "pending": [file.name for file in history.pending],
        "unfinished": history.found.unfinished or {},
        "problems": history.problems,
    }


def _print(console: Console, history: History) -> None:
    name = history.entry.name
    at = ", ".join(history.found.heads) or "nothing"
    pending = history.pending
    console.line(f"{name}: at {at}, {f'{len(pending)} pending' if pending else 'nothing pending'}")
    console.table([(file.name, file.message) for file in pending], indent="  ")
    print_problems(console, history)


def print_problems(console: Console, history: History) -> None:
    """Print what is wrong with a history, each with the way out."""
    for problem in history.problems:
        console.line(f"  {problem.kind}: {problem.says}")
        console.line(f"    way out: {problem.way_out}")
