"""`pgstead migrate check [DB...]`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
    histories = [History(entry, invocation) for entry in chosen(databases, invocation)]
    compared = {} if files else _compared(histories, console)
    found: dict[str, dict[str, object]] = {}
    clean = True
    for history in histories:
        name = history.entry.name
        seen = compared.get(name, Compared())
        clean = clean and not (history.problems or seen.told)
        found[name] = {
            "at": history.found.heads,
            "pending": [file.name for file in history.pending],
            "problems": history.problems,
            "drifts": seen.drifts,
            "unwritten": seen.unwritten,
            "not_compared": seen.note,
        }
        if not invocation.json:
            _print(console, history, seen)
    if invocation.json:
        console.data(found)
    return ExitStatus.DONE if clean else ExitStatus.DRIFT


@dataclass(frozen=True, slots=True)
class Compared:
    """What a comparison with the migrations found, or why there was none."""

    drifts: tuple[Drift, ...] = ()
    unwritten: tuple[str, ...] = ()  # what the models have and no migration makes
    note: str = ""

    @property
    def told(self) -> int:
        """How many things there are to look at."""
        return len(self.drifts) + len(self.unwritten) + bool(self.note)


def _compared(histories: Sequence[History], console: Console) -> dict[str, Compared]:
    """Compare all databases that can be compared, on one server."""
    from pgstead.cli.migrate_reference import references

    found = {h.entry.name: Compared(note=_hindrance(h)) for h in histories}
    can = [history for history in histories if not found[history.entry.name].note]
    with references(can, console) as all_made:
        for history, made in zip(can, all_made, strict=True):
            made.upgrade(history.found.heads)
            drifts = made.drifts(history)
            made.upgrade(["heads"])
            unwritten = made.unwritten() if history.entry.models else []
            found[history.entry.name] = Compared(drifts, tuple(unwritten))
    return found


def _hindrance(history: History) -> str:
    """Return why nothing can be compared; empty where it can."""
    from pgstead.plan import history as planned

    if any(planned.problems(history.files, history.entry.name)):
        return "nothing can be compared before the files are mended"
    known = {file.name for file in history.files}
    if set(history.found.heads) - known:
        return "nothing can be compared: no file has the revision that the database is at"
    return ""


def _print(console: Console, history: History, seen: Compared) -> None:
    name = history.entry.name
    told = len(history.problems) + seen.told
    console.line(f"{name}: {f'{told} to look at' if told else 'all agrees'}")
    print_problems(console, history)
    print_drifts(console, seen.drifts)
    for line in seen.unwritten:
        console.line(f"  models: {line}")
    if seen.unwritten:
        console.line(f"    way out: `pgstead migrate new {name} -m ...` writes it as a migration")
    if seen.note:
        console.line(f"  {seen.note}")


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
