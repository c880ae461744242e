"""`pgstead upkeep status|plan|run|history`."""

from __future__ import annotations

import signal
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from pgstead.cli.backing import age, size
from pgstead.cli.command import CommandGroup
from pgstead.cli.command import command as new_command
from pgstead.cli.console import Console, shortened
from pgstead.cli.invocation import invocation_of
from pgstead.errors import ExitStatus, UsageError

if TYPE_CHECKING:
    from pgstead.cli.wiring import Wired
    from pgstead.model.upkeep import Chore, ChoreRun, UpkeepRun, UpkeepWork
    from pgstead.workflows.upkeep import Wanted

_WORKS = ("freeze", "drop", "rebuild", "vacuum", "analyze", "reindex", "reorganize", "reset")
_databases = click.option(
    "--database", "databases", multiple=True, metavar="NAME", help="Of a database alone."
)
_only = click.option(
    "--only", multiple=True, type=click.Choice(_WORKS), help="One kind of work alone."
)


def _wired(console: Console) -> Wired:
    from pgstead.cli.wiring import wire

    return wire(invocation_of().manifest, console, tolerant=True)


def _wanted(wired: Wired, databases: tuple[str, ...], only: tuple[str, ...]) -> Wanted:
    from pgstead.model.upkeep import Work
    from pgstead.workflows.upkeep import Wanted

    known = [d.name for d in wired.design.databases]
    if unknown := [name for name in databases if name not in known]:
        raise UsageError(
            f"no database of the manifest is called {unknown[0]!r}",
            hint=f"there is: {', '.join(known)}",
        )
    return Wanted(databases, tuple(Work(name) for name in only))


def _span(_ctx: click.Context, _parameter: click.Parameter, value: str | None) -> float | None:
    from pgstead.manifest.quantities import duration

    try:
        return None if value is None else duration(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@new_command(
    "plan",
    ("pgstead upkeep plan", "what the next window would do"),
    ("pgstead upkeep plan --only reindex --json", "bloated indexes, for programs"),
    exit_1="the server does not answer",
)
@_databases
@_only
def _plan(databases: tuple[str, ...], only: tuple[str, ...]) -> None:
    """Show what is due, most important first, with the reason; nothing is changed.

    Bloat is measured where the extension pgstattuple is installed, else estimated; each line says
    which. What is left to people is listed below.
    """
    from pgstead.workflows import upkeep

    console = Console(invocation_of())
    wired = _wired(console)
    with console.working():
        wanted = _wanted(wired, databases, only)
        work = upkeep.look(wired.design, wired.ports, wanted, advise=True)
    _show(console, work)


def _show(console: Console, work: UpkeepWork) -> None:
    if console.json:
        console.data(
            {
                "at": work.at,
                "chores": [_chore_json(c) for c in work.chores],
                "advice": work.advice,
            }
        )
        return
    console.table([_chore_row(c) for c in work.chores])
    for advice in work.advice:
        console.line(f"advice: {advice.database} {advice.what}: {advice.why}")
        console.line(f"        {advice.do}")
    count = len(work.chores)
    console.line(f"{count} chore{'' if count == 1 else 's'} due")


def _chore_row(chore: Chore) -> tuple[str, ...]:
    known = f"{chore.told_by}, " if chore.wasted is not None else ""
    again = f"; {chore.again}" if chore.again else ""
    about = f"about {chore.seconds:.0f} s" if chore.seconds is not None else ""
    return (
        f"{chore.work}{' (at once)' if chore.urgent else ''}",
        f"{chore.database} {chore.schema}.{chore.name}",
        size(int(chore.bytes)),
        about,
        f"{chore.reason} ({known}{_as(chore)}){again}",
    )


def _as(chore: Chore) -> str:
    return f"on {chore.table}" if chore.table != chore.name and chore.table else "counted now"


def _chore_json(chore: Chore) -> Mapping[str, object]:
    return {
        "work": chore.work, "database": chore.database, "schema": chore.schema,
        "name": chore.name, "table": chore.table, "reason": chore.reason, "bytes": chore.bytes,
        "room": chore.room, "wasted": chore.wasted, "told_by": chore.told_by,
        "urgent": chore.urgent, "seconds": chore.seconds, "again": chore.again or None,
    }  # fmt: skip


@new_command(
    "run",
    ("pgstead upkeep run", "do what is due, for as long as a window"),
    ("pgstead upkeep run --dry-run", "only show it"),
    ("pgstead upkeep run --only reindex --for 10min", "bloated indexes, ten minutes"),
    exits=(0, 1, 2, 3),
    exit_0="all that was due is done",
    exit_1="something failed, or another run is at work",
    exit_3="nothing failed, and something was put off",
)
@_databases
@_only
@click.option("--for", "seconds", metavar="SPAN", callback=_span, help="Else upkeep.window.")
@click.option("--dry-run", is_flag=True, help="Show what is due, and do nothing.")
def _run(
    databases: tuple[str, ...], only: tuple[str, ...], seconds: float | None, dry_run: bool
) -> int:
    """Do what is due now, one after the other, gently, and write down how it went.

    It waits while the server is busy, stops what others wait for, and takes no lock that it would
    have to wait long for: what could not be done is put off, and tried again by the next run.
    Ctrl-C ends the statement at work and leaves nothing half made.
    """
    from pgstead.model.upkeep import Outcome
    from pgstead.workflows import upkeep

    console = Console(invocation_of())
    wired = _wired(console)
    wanted = _wanted(wired, databases, only)
    if dry_run:
        with console.working():
            work = upkeep.look(wired.design, wired.ports, wanted)
        _show(console, work)
        return ExitStatus.DONE
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda _sign, _frame: stop.set())
    with console.working():
        report = upkeep.run(
            wired.design, wired.ports, "command", seconds=seconds, wanted=wanted, stop=stop
        )
    if console.json:
        console.data(
            {
                "run": report.run,
                "outcome": report.outcome,
                "chores": [_run_json(c) for c in report.chores],
            }
        )
    else:
        console.table([_run_row(c) for c in report.chores])
        console.line(f"{len(report.chores)} chores, {report.outcome}")
    if report.outcome is Outcome.FAILED:
        return ExitStatus.FAILED
    return ExitStatus.DONE if report.outcome is Outcome.DONE else ExitStatus.DRIFT


def _run_row(chore: ChoreRun) -> tuple[str, ...]:
    took = "" if chore.seconds is None else f"{chore.seconds:.1f} s"
    return (
        f"{chore.begun:%F %H:%M}",
        chore.outcome,
        chore.work,
        f"{chore.database} {chore.schema}.{chore.name}",
        took,
        shortened(chore.error, 100) if chore.error else _change(chore),
    )


def _change(chore: ChoreRun) -> str:
    """Return what became of the figure that the chore was for."""
    name = {
        "vacuum": "dead", "freeze": "xid_age", "analyze": "changed", "reindex": "bytes",
        "rebuild": "valid", "reorganize": "bytes", "drop": "bytes",
    }.get(chore.work)  # fmt: skip
    if name is None:
        return ""
    told = [figures.get(name) for figures in (chore.before, chore.after)]
    words = [_figure(name, value) for value in told]
    return f"{name} {words[0]} -> {words[1]}"


def _figure(name: str, value: float | None) -> str:
    if value is None:
        return "none"
    return size(int(value)) if name == "bytes" else f"{value:.0f}"


def _run_json(chore: ChoreRun) -> Mapping[str, object]:
    return {
        "run": chore.run, "work": chore.work, "database": chore.database, "schema": chore.schema,
        "name": chore.name, "table": chore.table, "reason": chore.reason,
        "told_by": chore.told_by, "role": chore.role, "begun": chore.begun, "ended": chore.ended,
        "seconds": chore.seconds, "outcome": chore.outcome, "before": chore.before,
        "after": chore.after, "error": chore.error or None,
    }  # fmt: skip


@new_command(
    "status",
    ("pgstead upkeep status", "the last window, and what failed"),
    ("pgstead upkeep status --json", "for programs"),
    exit_0="nothing failed when it was tried last",
    exit_1="something did",
)
def _status() -> int:
    """Show when upkeep ran last, how that went, and what waits. The server is not asked."""
    from pgstead.workflows import upkeep

    console = Console(invocation_of())
    wired = _wired(console)
    found = upkeep.status(wired.design, wired.ports)
    status = ExitStatus.FAILED if found.failing else ExitStatus.DONE
    if console.json:
        told = {
            "automatic": found.plan.automatic,
            "schedule": found.plan.schedule,
            "window": found.plan.window,
            "role": found.plan.role or None,
            "last": found.last,
            "running": found.running,
            "failing": [_run_json(c) for c in found.failing],
            "waiting": [_run_json(c) for c in found.waiting],
        }
        console.data(told)
        return status
    when = f"{found.plan.schedule} UTC, for {found.plan.window / 60:.0f} min"
    console.line(f"windows: {when if found.plan.automatic else 'none (upkeep.enabled = false)'}")
    console.line(f"last run: {_told(found.last)}")
    if found.running is not None:
        console.line(f"at work: {_told(found.running)}")
    for title, chores in (("failed", found.failing), ("waits", found.waiting)):
        for chore in chores:
            what = f"{chore.work} {chore.database} {chore.schema}.{chore.name}"
            console.line(f"{title}: {what}: {chore.error or chore.outcome}")
    if found.failing:
        console.hint("`pgstead upkeep history` shows more; the next window tries again")
    return status


def _told(run: UpkeepRun | None) -> str:
    if run is None:
        return "never"
    end = f", {run.error}" if run.error else ""
    return f"{run.outcome}, {run.planned} chores, {age(run.begun)} ({run.cause}){end}"


@new_command(
    "history",
    ("pgstead upkeep history", "the last chores, each with before and after"),
    ("pgstead upkeep history -n 200 --json", "more of them, for programs"),
)
@click.option("-n", "--lines", default=30, show_default=True, type=click.IntRange(1))
def _history(lines: int) -> None:
    """Show what was done, when, by which role, and how it ended; oldest first."""
    from pgstead.workflows.upkeep import history_of

    console = Console(invocation_of())
    wired = _wired(console)
    chores = [*reversed(history_of(wired.ports).chores(lines))]
    if console.json:
        console.data([_run_json(c) for c in chores])
        return
    console.table([_run_row(c) for c in chores])
    if not chores:
        console.line("nothing was done yet")


command = CommandGroup(
    "upkeep",
    help="Keep tables and indexes fit: vacuum, freezing, bloat.\n\nThe agent"
    " does it in windows ([upkeep] in the manifest); these commands show it, or do it now.",
    examples=(
        ("pgstead upkeep plan", "what is due, and why"),
        ("pgstead upkeep run --for 10min", "do it now, for ten minutes at the most"),
        ("pgstead upkeep history", "what was done, and what that changed"),
    ),
)
for _below in (_status, _plan, _run, _history):
    command.add_command(_below)
