"""`pgstead audit-report`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pgstead.cli.command import command as new_command
from pgstead.cli.console import Console
from pgstead.cli.invocation import invocation_of
from pgstead.errors import ExitStatus, UsageError

if TYPE_CHECKING:
    from pgstead.model.audit_report import AuditReport
    from pgstead.prove.report import Report


@new_command(
    "audit-report",
    ("pgstead audit-report", "every security check, tried now"),
    ("pgstead audit-report --html audit.html", "a page for an auditor"),
    ("pgstead audit-report --json > audit.json", "the same for programs"),
    exits=(0, 1, 2, 4),
    exit_0="nothing is broken, and nothing open that could have been tried here",
    exit_1="a check is broken",
)
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), help="Write a page.")
@click.option("--disruptive", is_flag=True, help="Also try what interrupts service.")
def command(html: Path | None, disruptive: bool) -> int:
    """Try every security check live, and map it to CIS controls.

    Each check rests on promises that `pgstead prove` tries as a stranger would. A check that
    nothing tries is unproven, and says what is missing.
    """
    from pgstead.cli.wiring import access_to, wire
    from pgstead.prove.run import run
    from pgstead.render.audit_report import page
    from pgstead.workflows import audit_report

    invocation = invocation_of()
    console = Console(invocation)
    wired = wire(invocation.manifest, console, tolerant=True)
    access = access_to(wired.design, wired.ports)

    def prove(select: tuple[str, ...]) -> Report:
        return run(wired.design, access, select, disruptive=disruptive)

    with console.working():
        console.step("trying every security check")
        made = audit_report.made(prove, wired.ports)
    if html is not None:
        try:
            html.write_text(page(made), encoding="utf-8")
        except OSError as error:
            raise UsageError(
                f"{html} cannot be written: {error.strerror}", hint="name another file"
            ) from error
    if invocation.json:
        console.data({**asdict(made), "counts": made.counts})
    else:
        _show(console, made)
    if made.counts["broken"]:
        return ExitStatus.FAILED
    could = any(check.could_try for check in made.checks)
    return ExitStatus.UNPROVEN if could else ExitStatus.DONE


def _show(console: Console, made: AuditReport) -> None:
    """Print each check, and behind it what is not kept and why."""
    rows = [
        (str(c.number), c.verdict.upper() if c.verdict == "broken" else c.verdict, c.asks)
        for c in made.checks
    ]
    console.table(rows, ("", "", "check"))
    for check in made.open_ones:
        for tried in (t for t in check.tried if t.verdict != "kept"):
            console.line(f"{check.number}: {tried.code} {tried.verdict}: {tried.reason}")
    for told in made.requirements:
        console.line(f"{told.name}: {told.verdict}")
    console.line(", ".join(f"{n} {verdict}" for verdict, n in made.counts.items()))
