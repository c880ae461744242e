"""`pgstead prove`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pgstead.cli.command import command as new_command
from pgstead.cli.console import Console
from pgstead.cli.invocation import invocation_of

if TYPE_CHECKING:
    from pgstead.cli.wiring import Wired
    from pgstead.prove.report import Report

_KEPT = 50  # reports; each has some hundred kilobytes


@new_command(
    "prove",
    ("pgstead prove", "try everything"),
    ("pgstead prove tls roles", "try the promises of two capabilities"),
    ("pgstead prove TLS-001 --evidence", "one promise, with what was tried and answered"),
    ("pgstead prove --checklist", "is it ready for production?"),
    ("pgstead prove --disruptive", "crash and restart things as well; not in production hours"),
    exits=(0, 1, 2, 4),
    exit_0="all that can be tried here is kept",
    exit_1="a promise is broken",
)
@click.argument("select", nargs=-1, metavar="[CAPABILITY|CODE|REQUIREMENT]...")
@click.option("--disruptive", is_flag=True, help="Also try what interrupts service.")
@click.option("--evidence", is_flag=True, help="Show every attempt, kept ones too.")
@click.option("--checklist", is_flag=True, help="Tick the list of the production guide by it.")
def command(select: tuple[str, ...], disruptive: bool, evidence: bool, checklist: bool) -> int:
    """Try every promise on the running system, as a stranger would.

    Each promise ends as kept, BROKEN or unproven. What could not be tried is unproven and never
    a pass; what takes many seconds (MGR-008) is tried only when its code is named. The whole
    report, with the evidence, is kept in the state directory as JSON.
    """
    from pgstead.catalog import readiness
    from pgstead.cli.wiring import access_to, wire
    from pgstead.prove import checklist as listing
    from pgstead.prove.run import run

    invocation = invocation_of()
    console = Console(invocation)
    wired = wire(invocation.manifest, console, tolerant=True)
    select = readiness.codes() if checklist and not select else select
    with console.working():
        report = run(
            wired.design, access_to(wired.design, wired.ports), select, disruptive=disruptive
        )
    if invocation.json:
        told = {"checklist": listing.ticks(report)} if checklist else {}
        console.data({**report.as_dict(), **told})
    else:
        shown = listing.lines(report) if checklist else report.text(evidence=evidence).splitlines()
        for line in shown:
            console.line(line)
    kept = _keep(wired, report)
    if kept is not None:
        console.say(f"report: {kept}")
    return report.exit_status


def _keep(wired: Wired, report: Report) -> Path | None:
    """Store the report; a stead that was never up has no place for it."""
    directory = wired.design.layout.proofs
    if not Path(directory).is_dir():
        return None
    name = "".join(c for c in report.began if c.isalnum())
    path = directory / f"{name}.json"
    for old in sorted(Path(directory).glob("*.json"))[: -_KEPT + 1]:
        old.unlink(missing_ok=True)
    wired.ports.files.write(path, json.dumps(report.as_dict(), indent=2) + "\n", mode=0o644)
    return Path(path)
