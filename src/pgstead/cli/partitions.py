"""`pgstead partitions plan|run|history`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from pgstead.cli.command import CommandGroup
from pgstead.cli.command import command as new_command
from pgstead.cli.console import Console
from pgstead.cli.invocation import invocation_of
from pgstead.errors import ExitStatus, UsageError

if TYPE_CHECKING:
    from pgstead.model.partitions import Rolled, Rollover


def _moment(_ctx: click.Context, _parameter: click.Parameter, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        told = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"--at {text!r} is no moment", hint="2027-06-01T00:00:00Z") from error
    return told if told.tzinfo is not None else told.replace(tzinfo=UTC)


@new_command(
    "plan",
    ("pgstead partitions plan", "what is made and dropped next"),
    ("pgstead partitions plan --at 2027-06-01", "what it would be then"),
    exits=(0, 1, 2, 3),
    exit_3="a table is declared in parts, and is not yet",
)
@click.argument("databases", nargs=-1, metavar="[DATABASE]...")
@click.option("--at", callback=_moment, metavar="TIME", help="At another moment than now.")
def _plan(databases: tuple[str, ...], at: datetime | None) -> int:
    """Show which partitions a run would make and drop, and do nothing.

    Tables in parts are declared in the models: `Partitioned.by_time("created_at")` or
    `Partitioned.by_hash("tenant_id", 8)` among the arguments of a table.
    """
    from pgstead.cli.declaring import chosen, partitions_of
    from pgstead.cli.wiring import wire
    from pgstead.workflows import partitions

    invocation = invocation_of()
    console = Console(invocation)
    wired = wire(invocation.manifest, console, tolerant=True)
    declared = partitions_of(wired, chosen(wired, databases))
    found = partitions.due(wired.design, wired.ports, declared, at)
    if invocation.json:
        console.data(
            {"tables": [{"database": d, "table": w.table, "due": what} for d, w, what in found]}
        )
    elif not found:
        console.line("the models declare no table in parts")
    for database, wanted, what in found if not invocation.json else ():
        for text in _words(what):
            console.line(f"{database} {wanted.table}  {text}")
    return ExitStatus.DRIFT if any(what is None for *_, what in found) else ExitStatus.DONE


def _words(what: Rollover | None) -> list[str]:
    if what is None:
        return ["is not in parts yet: `pgstead.app.staged.partition` in a migration"]
    told = [f"make {p.name}" for p in what.make]
    told += [f"finish dropping {p.name}" for p in what.finish]
    told += [f"{p.name} is half detached, and not due: it is left" for p in what.stray]
    return [*told, *(f"drop {p.name}" for p in what.drop)] or ["nothing is due"]


@new_command(
    "run",
    ("pgstead partitions run", "make what comes, drop what is too old"),
    exits=(0, 1, 2),
    exit_1="something could not be done; it is named, and the next run tries again",
)
@click.argument("databases", nargs=-1, metavar="[DATABASE]...")
def _run(databases: tuple[str, ...]) -> int:
    """Make partitions before their time, and drop those that are too old; the agent does it too.

    Nobody who reads or writes waits: they are attached, and detached concurrently.
    """
    from pgstead.cli.declaring import chosen, partitions_of
    from pgstead.cli.wiring import wire
    from pgstead.workflows import partitions

    invocation = invocation_of()
    console = Console(invocation)
    with console.working():
        wired = wire(invocation.manifest, console, tolerant=True)
        declared = partitions_of(wired, chosen(wired, databases))
        done = partitions.run(wired.design, wired.ports, declared, "command")
    if invocation.json:
        console.data({"tables": done})
    elif not done:
        console.line("the models declare no table in parts")
    else:
        header = ("database", "table", "made", "dropped", "rows", "")
        console.table([_row(each) for each in done], header)
    return ExitStatus.FAILED if any(each.why for each in done) else ExitStatus.DONE


def _row(done: Rolled) -> tuple[str, ...]:
    made, dropped = ", ".join(done.made), ", ".join(done.dropped)
    return (done.database, done.table, made, dropped, str(done.rows or ""), done.why)


@new_command(
    "history",
    ("pgstead partitions history", "what was made and dropped, when"),
)
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1))
def _history(limit: int) -> None:
    """Show the runs that rolled partitions over, newest first."""
    from pgstead.cli.care_runs import show
    from pgstead.model.backup import Task

    show((Task.PARTITIONS,), limit)


command = CommandGroup(
    "partitions",
    help="Make partitions before their time, and drop old ones.",
    examples=(
        ("pgstead partitions plan", "what is made and dropped next"),
        ("pgstead partitions run", "do it"),
        ("pgstead partitions history", "what was made and dropped, when"),
    ),
)
for each in (_plan, _run, _history):
    command.add_command(each)
