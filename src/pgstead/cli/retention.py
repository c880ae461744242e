"""`pgstead retention plan|run|history`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pgstead.cli.command import CommandGroup
from pgstead.cli.command import command as new_command
from pgstead.cli.console import Console
from pgstead.cli.invocation import invocation_of
from pgstead.errors import ExitStatus

if TYPE_CHECKING:
    from datetime import datetime

    from pgstead.model.retention import Due, Removed


@new_command(
    "plan",
    ("pgstead retention plan", "what is due now, counted, and nothing removed"),
    ("pgstead retention plan jeex_idea --json", "of one database, for a program"),
    exits=(0, 1, 2, 4),
    exit_4="of some table nobody can tell what is due; it says why",
)
@click.argument("databases", nargs=-1, metavar="[DATABASE]...")
def _plan(databases: tuple[str, ...]) -> int:
    """Count what a run would remove, exactly, and remove nothing.

    How long rows are kept is declared in the models: `Retained("expires_at")` among the arguments
    of a table, or `Retained("created_at", days=90)`.
    """
    from pgstead.cli.declaring import chosen, retention_of
    from pgstead.cli.wiring import wire
    from pgstead.workflows import retention

    invocation = invocation_of()
    console = Console(invocation)
    with console.working():
        wired = wire(invocation.manifest, console, tolerant=True)
        rules, _ = retention_of(wired, chosen(wired, databases))
        found = retention.due(wired.design, wired.ports, rules)
    if invocation.json:
        console.data({"due": found})
    elif not found:
        console.line("the models declare no retention")
    else:
        header = ("database", "table", "before", "rows", "files", "")
        console.table([_due(each) for each in found], header)
    return ExitStatus.UNPROVEN if any(each.why for each in found) else ExitStatus.DONE


def _due(found: Due) -> tuple[str, ...]:
    rows = "" if found.rows is None else str(found.rows)
    files = str(found.files or "")
    return (found.database, found.table, _moment(found.before), rows, files, found.why)


def _moment(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S}"


@new_command(
    "run",
    ("pgstead retention run", "remove what is due, in small batches"),
    ("pgstead retention run --dry-run", "count it: what `plan` does"),
    exits=(0, 1, 2, 4),
    exit_1="something due could not be removed; it is named, and the next run tries again",
    exit_4="with --dry-run: of some table nobody can tell what is due",
)
@click.argument("databases", nargs=-1, metavar="[DATABASE]...")
@click.option("--dry-run", is_flag=True, help="Count what is due, and remove nothing.")
@click.pass_context
def _run(context: click.Context, databases: tuple[str, ...], dry_run: bool) -> int:
    """Remove what is due, now; the agent does it at night.

    Each batch is a transaction of well under a second. Rows that somebody works on are left for
    the next run; files go before their rows. Stop it anywhere: the next run goes on.
    """
    from pgstead.cli.declaring import chosen, retention_of
    from pgstead.cli.wiring import wire
    from pgstead.workflows import retention

    if dry_run:
        return int(context.invoke(_plan, databases=databases))
    invocation = invocation_of()
    console = Console(invocation)
    with console.working():
        wired = wire(invocation.manifest, console, tolerant=True)
        rules, directories = retention_of(wired, chosen(wired, databases))
        done = retention.run(wired.design, wired.ports, rules, "command", directories=directories)
    if invocation.json:
        console.data({"removed": done})
    elif not done:
        console.line("the models declare no retention")
    else:
        header = ("database", "table", "rows", "files", "left", "longest", "")
        console.table([_removed(each) for each in done], header)
    return ExitStatus.FAILED if any(each.why for each in done) else ExitStatus.DONE


def _removed(done: Removed) -> tuple[str, ...]:
    longest = f"{done.longest:.2f} s"
    counts = (str(done.rows), str(done.files), str(done.left))
    return (done.database, done.table, *counts, longest, done.why)


@new_command(
    "history",
    ("pgstead retention history", "what was removed, when, and how it ended"),
)
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1))
def _history(limit: int) -> None:
    """Show the runs of retention, newest first."""
    from pgstead.cli.care_runs import show
    from pgstead.model.backup import Task

    show((Task.RETENTION,), limit)


command = CommandGroup(
    "retention",
    help="Remove what is too old, as the models declare it.",
    examples=(
        ("pgstead retention plan", "what is due now"),
        ("pgstead retention run", "remove it"),
        ("pgstead retention history", "what was removed, when"),
    ),
)
for each in (_plan, _run, _history):
    command.add_command(each)
