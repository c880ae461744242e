"""`pgstead migrate check [DB...]`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pgstead.cli.command import command as new_command
from pgstead.cli.console import Console
from pgstead.cli.invocation import invocation_of
from pgstead.cli.migrate_status import print_problems
from pgstead.cli.migrating import History, chosen
from pgstead.errors import ExitStatus

if TYPE_CHECKING:
    from pgstead.plan.drift import Drift


@new_command(
    "check",
    ("pgstead migrate check", "all databases"),
    ("pgstead migrate check shop --files", "the history alone; seconds, in CI"),
    ("pgstead migrate check --json", "for programs"),
    exits=(0, 1, 2, 3),
    exit_0="the history agrees, the schema is what the migrations make and the models say",
    exit_1="it could not be looked at",
    exit_3="something disagrees",
)
@click.argument("databases", nargs=-1, metavar="[DB]...")
@click.option("--files", is_flag=True, help="Only the history: files, ledger, revision.")
def command(databases: tuple[str, ...], files: bool) -> int:
    """Compare the history, the live schema, what the migrations make, and the models.

    The migrations are run in a database of a throwaway server with the same binaries, roles and
    privileges. The live database is only selected from, as the role that reads. Each difference
    is told with what it means and the way out.
    """
    invocation = invocation_of()
    console = Console(invocation)
    found: dict[str, dict[str, object]] = {}
    clean = True
    for entry in chosen(databases, invocation):
        history = History(entry, invocation)
        drifts, unwritten, note = ((), [], "") if files else _compared(history, console)
        clean = clean and not (history.problems or drifts or unwritten or note)
        found[entry.name] = {
            "at": history.found.heads,
            "pending": [file.name for file in history.pending],
            "problems": history.problems,
            "drifts": drifts,
            "unwritten": unwritten,
            "not_compared": note,
        }
        if not invocation.json:
            _print(console, history, drifts, unwritten, note)
    if invocation.json:
        console.data(found)
    return ExitStatus.DONE if clean else ExitStatus.DRIFT


def _compared(history: History, console: Console) -> tuple[tuple[Drift, ...], list[str], str]:
    """Return drift, what is not written as a migration, and why nothing could be compared."""
    from pgstead.cli.migrate_reference import reference
    from pgstead.plan import history as planned

    if any(planned.problems(history.files, history.entry.name)):
        return (), [], "nothing can be compared before the files are mended"
    known = {file.name for file in history.files}
    if set(history.found.heads) - known:
        return (), [], "nothing can be compared: no file has the revision that the database is at"
    with reference(history, console) as made:
        made.upgrade(history.found.heads)
        drifts = made.drifts(history)
        made.upgrade(["heads"])
        unwritten = made.unwritten() if history.entry.models else []
    return drifts, unwritten, ""


def _print(
    console: Console, history: History, drifts: tuple[Drift, ...], unwritten: list[str], note: str
) -> None:
    name = history.entry.name
    told = len(history.problems) + len(drifts) + len(unwritten) + bool(note)
    console.line(f"{name}: {f'{told} to look at' if told else 'all agrees'}")
    print_problems(console, history)
    print_drifts(console, drifts)
    for line in unwritten:
        console.line(f"  models: {line}")
    if unwritten:
        console.line(f"    way out: `pgstead migrate new {name} -m ...` writes it as a migration")
    if note:
        console.line(f"  {note}")


def print_drifts(console: Console, drifts: tuple[Drift, ...]) -> None:
    """Print how a database differs, each difference with its meaning and the way out."""
    for drift in drifts:
        console.line(f"  drift: {drift.object} is {drift.how}: {drift.meaning}")
        for difference in drift.differences:
            console.line(
                f"    {difference.facet}: {_shown(difference.found)}"
                f" instead of {_shown(difference.wanted)}"
            )
        console.line(f"    way out: {drift.way_out}")


def _shown(facet: object) -> str:
    return "nothing" if facet is None else " ".join(str(facet).split())[:120]
