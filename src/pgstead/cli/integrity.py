"""`pgstead integrity check|history|repair|salvage`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pgstead.cli.command import CommandGroup
from pgstead.cli.command import command as new_command
from pgstead.cli.console import Console, shortened
from pgstead.cli.invocation import invocation_of
from pgstead.errors import ExitStatus, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pgstead.model.integrity import Damage, Integrity
    from pgstead.workflows.repair import Step

_CHECKS = ("pages", "heaps", "indexes", "constraints", "versions", "files")


@new_command(
    "check",
    ("pgstead integrity check", "everything, of every database"),
    ("pgstead integrity check shop --only indexes", "the indexes of one"),
    ("pgstead integrity check --only pages --gentle", "the disk, slowly"),
    exits=(0, 1, 2, 4),
    exit_1="something is damaged; it is named",
    exit_4="nothing is damaged, and something could not be looked at",
)
@click.argument("databases", nargs=-1, metavar="[DATABASE]...")
@click.option("--only", multiple=True, type=click.Choice(_CHECKS), help="Look at that; repeatable.")
@click.option("--gentle", is_flag=True, help="Read the disk at the rate of scheduled backups.")
@click.option("--cause", default="command", hidden=True)
def _check(databases: tuple[str, ...], only: tuple[str, ...], gentle: bool, cause: str) -> int:
    """Look whether data is whole, and name what is not: relation, block, key.

    Pages by their checksums as they lie on the disk, rows and indexes by amcheck, foreign keys and
    checks by asking every row again, and what the models declare: numbers without a gap, files
    that are where rows say. Applications go on; nothing is changed.
    """
    from pgstead.cli.declaring import chosen, integrity_of
    from pgstead.cli.wiring import wire
    from pgstead.model.integrity import Check
    from pgstead.workflows.integrity import EVERYTHING, check

    invocation = invocation_of()
    console = Console(invocation)
    with console.working():
        wired = wire(invocation.manifest, console, tolerant=True)
        names = chosen(wired, databases)
        wanted = frozenset(Check(name) for name in only) or EVERYTHING
        declared = integrity_of(wired, names)
        found = check(
            wired.design, wired.ports, cause,
            declared=declared, only=wanted, databases=names, gentle=gentle,
        )  # fmt: skip
    if invocation.json:
        console.data(found)
    else:
        _show(console, found)
    if found.damages:
        return ExitStatus.FAILED
    return ExitStatus.UNPROVEN if found.unseen else ExitStatus.DONE


def _show(console: Console, found: Integrity) -> None:
    _table(console, found.damages)
    for each in found.unseen:
        console.warn(f"not looked at: {each.database} {each.relation} ({each.check}): {each.why}")
    looked = ", ".join(f"{count} {name}" for name, count in found.looked.items())
    console.line(f"{len(found.damages)} damages; looked at: {looked or 'nothing'}")
    if found.damages:
        console.hint("`pgstead integrity repair --dry-run` shows what can be done")


def _table(console: Console, damages: Sequence[Damage]) -> None:
    rows = [
        (
            d.database, d.relation, "" if d.block is None else f"block {d.block}", d.key,
            shortened(d.what, 90),
        )
        for d in damages
    ]  # fmt: skip
    if rows:
        console.table(rows, ("database", "relation", "where", "key", "what"))


@new_command(
    "repair",
    ("pgstead integrity repair --dry-run", "what would be done about what was found last"),
    ("pgstead integrity repair --yes", "do it"),
    exits=(0, 1, 2, 3),
    exit_1="a repair failed; it is named, and recorded",
    exit_3="what is left needs somebody's judgement",
)
@click.option("--dry-run", is_flag=True, help="Show, and do nothing.")
@click.option("--yes", is_flag=True, help="Do it: nothing is repaired without.")
def _repair(dry_run: bool, yes: bool) -> int:
    """Repair what the last check found, as far as nothing can be lost by it.

    A damaged index is built anew beside, while its table is used, and compared with it then. A
    constraint that every row satisfies is validated. Damaged tables, orphans and gaps are told,
    with what leads on: which row is right is somebody's decision.
    """
    from pgstead.cli.wiring import wire
    from pgstead.workflows import repair

    invocation = invocation_of()
    console = Console(invocation)
    if not dry_run and not yes:
        raise UsageError(
            "nothing is repaired in silence",
            hint="--dry-run shows what would be done, --yes does it",
        )
    with console.working():
        wired = wire(invocation.manifest, console, tolerant=True)
        damages = repair.found_last(wired.ports)
        if dry_run:
            steps = repair.plan(damages)
        else:
            steps = repair.repair(wired.design, wired.ports, "command", damages)
    _tell(console, steps, dry_run=dry_run)
    if dry_run or not steps:
        return ExitStatus.DONE
    ours = [s for s in steps if s.damage.remedy in repair.OURS]
    if any(not s.done for s in ours):
        return ExitStatus.FAILED
    return ExitStatus.DRIFT if len(ours) < len(steps) else ExitStatus.DONE


def _tell(console: Console, steps: Sequence[Step], *, dry_run: bool) -> None:
    if console.json:
        console.data({"dry_run": dry_run, "steps": steps})
        return
    if not steps:
        console.line("the last check found nothing")
    for step in steps:
        outcome = f": {step.outcome}" if step.outcome else ""
        key = f" {step.damage.key}" if step.damage.key else ""
        console.line(f"{step.damage.database} {step.damage.relation}{key}  {step.action}{outcome}")


@new_command(
    "salvage",
    ("pgstead integrity salvage shop public.orders", "beside the live table, with a diff"),
    exits=(0, 1, 2, 3),
    exit_3="the two differ; it is shown how, and nothing of the live table was changed",
)
@click.argument("database")
@click.argument("table")
def _salvage(database: str, table: str) -> int:
    """Restore one table from the last proven backup beside the live one, and compare them.

    Nothing of the live table is changed. The restored one lies in the schema pgstead_salvage,
    which nobody but the superuser may use. Rows on pages that cannot be read are among those that
    only the backup has.
    """
    from pgstead.cli.backing import backed_up
    from pgstead.cli.declaring import chosen
    from pgstead.workflows.salvage import salvage

    invocation = invocation_of()
    console = Console(invocation)
    with console.working():
        wired = backed_up(invocation, console)
        chosen(wired, (database,))
        found = salvage(wired.ports, database, table)
    if invocation.json:
        console.data(found)
    else:
        console.line(f"{found.table} of {found.backup} lies in {found.beside}: {found.rows} rows")
        for words, keys, count in (
            ("only the backup has", found.lost, found.lost_count),
            ("only the live table has", found.new, found.new_count),
            ("differ", found.different, found.different_count),
        ):
            console.line(f"{words}: {count} rows  {' '.join(keys)}".rstrip())
        if found.unreadable:
            console.line(f"blocks that cannot be read: {', '.join(map(str, found.unreadable))}")
    return ExitStatus.DRIFT if found.lost_count or found.different_count else ExitStatus.DONE


@new_command(
    "history",
    ("pgstead integrity history", "when it was looked, and what was found"),
)
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1))
def _history(limit: int) -> None:
    """Show the checks and repairs that were run, newest first."""
    from pgstead.cli.care_runs import show
    from pgstead.model.backup import Task

    show((Task.INTEGRITY, Task.REPAIR), limit)


command = CommandGroup(
    "integrity",
    help="Find what is damaged, and repair what can be without loss.",
    examples=(
        ("pgstead integrity check", "every page, row, index and constraint"),
        ("pgstead integrity repair --dry-run", "what can be done about it"),
        ("pgstead integrity history", "when it was looked, and what was found"),
    ),
)
for each in (_check, _repair, _salvage, _history):
    command.add_command(each)
