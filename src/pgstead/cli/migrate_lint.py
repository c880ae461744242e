"""`pgstead migrate lint [DB...]`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pgstead.cli.command import command as new_command
from pgstead.cli.console import Console
from pgstead.cli.invocation import invocation_of
from pgstead.cli.linting import Asked, report_of
from pgstead.cli.migrating import chosen
from pgstead.errors import ExitStatus, UsageError

if TYPE_CHECKING:
    from pgstead.lint.finding import Report


@new_command(
    "lint",
    ("pgstead migrate lint", "what is pending, in all databases"),
    ("pgstead migrate lint shop --against-live", "weighed by the size of its tables"),
    ("pgstead migrate lint shop --since 5d1c7a", "what a branch adds; needs no server"),
    ("pgstead migrate lint --all --json", "everything, for programs and CI"),
    exits=(0, 1, 2, 3),
    exit_0="nothing that is refused; there may be warnings",
    exit_1="the lint could not be done",
    exit_3="something is refused: a finding of level error",
)
@click.argument("databases", nargs=-1, metavar="[DB]...")
@click.option("--since", metavar="REV", help="What comes after this revision; `base` is the start.")
@click.option("--all", "everything", is_flag=True, help="All revisions, applied ones too.")
@click.option(
    "--against-live", is_flag=True, help="Weigh locks by the tables of the running database."
)
@click.option("--notes", is_flag=True, help="Show notes in full, not only their number.")
@click.option("--no-squawk", is_flag=True, help="Only the rules of pgstead's own.")
def command(
    databases: tuple[str, ...],
    since: str | None,
    everything: bool,
    against_live: bool,
    notes: bool,
    no_squawk: bool,
) -> int:
    """Say what migrations would break, before they run.

    Each finding says what breaks and for how long, and the safe way with the code to write. An
    error is refused, a warning is to be looked at, a note is harmless as far as is known. A
    comment in the revision answers for a finding, with a reason: `# pgstead:
    ignore[drop-column] no release maps it any more`.

    By default those revisions are judged that the running database does not have yet; --since and
    --all need no server. Nothing is changed and nothing is executed.
    """
    if since is not None and everything:
        raise UsageError("--since and --all exclude each other", hint="--all is --since base")
    invocation = invocation_of()
    asked = Asked(invocation, since, everything, against_live, not no_squawk)
    console = Console(invocation)
    reports = {
        entry.name: report_of(entry, asked, console) for entry in chosen(databases, invocation)
    }
    if invocation.json:
        console.data({name: _plain(report) for name, report in reports.items()})
    else:
        for name, report in reports.items():
            _print(console, name, report, notes=notes)
    return ExitStatus.DONE if all(r.clean for r in reports.values()) else ExitStatus.DRIFT


def _plain(report: Report) -> dict[str, object]:
    return {
        "clean": report.clean,
        "revisions": report.revisions,
        "findings": report.findings,
        "ignored": report.ignored,
    }


def _print(console: Console, name: str, report: Report, *, notes: bool) -> None:
    from pgstead.lint import wording

    for line in wording.lines(report, notes=notes):
        console.line(line)
    console.line(f"{name}: {wording.summary(report)}")
    if not report.clean:
        console.hint("`# pgstead: ignore[RULE] reason` answers for one; docs/reference/lint.md")
