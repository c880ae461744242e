"""`pgstead up`."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from pgstead.cli.command import command as new_command
from pgstead.cli.console import Console
from pgstead.cli.invocation import invocation_of
from pgstead.model.operation import Impact

if TYPE_CHECKING:
    from pgstead.cli.wiring import Wired
    from pgstead.workflows.up import UpResult

IMPACTS = [impact.word for impact in Impact]


@new_command(
    "up",
    ("pgstead up", "bring about what the manifest says; again: nothing to change"),
    ("pgstead up --fix", "and fetch what this machine lacks first"),
    ("pgstead up --allow restart", "let a change restart the server"),
    exits=(0, 1, 2, 3, 5),
    exit_3="the plan holds an impact, or revisions for production, that are not allowed",
)
@click.option(
    "--allow",
    type=click.Choice(IMPACTS),
    default=Impact.RELOAD.word,
    show_default=True,
    metavar="IMPACT",
    help=f"The gravest impact that may happen: {', '.join(IMPACTS)}.",
)
@click.option("--fix", is_flag=True, help="Fetch missing binaries first, as `doctor --fix` does.")
@click.option(
    "--override",
    metavar="REASON",
    help="Migrate production although a condition is not met; kept with the reason.",
)
def command(allow: str, fix: bool, override: str | None) -> None:
    """Make the running system what the manifest says.

    What is there already stays; what is missing is made; what was changed by hand is put right.
    It may be interrupted at any time and run again. An operation graver than --allow stops it
    before anything is done; so do pending revisions for production that `pgstead migrate up` would
    refuse.
    """
    from pgstead.cli.doors import must_be_free
    from pgstead.cli.gate import GatedMigrations, MigrationGate
    from pgstead.cli.wiring import prepared, wire
    from pgstead.workflows.first_backup import await_first
    from pgstead.workflows.up import up

    invocation = invocation_of()
    console = Console(invocation)
    began = time.monotonic()
    with console.working():
        gate = MigrationGate(invocation, console, override)
        wired = wire(invocation.manifest, console, fix=fix)
        migrations = GatedMigrations(wired.ports.migrations, gate, invocation)
        ports = replace(wired.ports, migrations=migrations)
        with prepared(wired):
            must_be_free(wired)
            result = up(wired.design, ports, allow=Impact[allow.upper()], gate=gate)
            if result.initialized and (untold := await_first(ports)):
                console.warn(f"{untold}: `pgstead logs agent`")
    seconds = time.monotonic() - began
    if invocation.json:
        console.data(_told(wired, result, seconds))
    elif not result.changed:
        console.line(f'nothing to change in stead "{wired.design.name}"')
        console.hint("`pgstead status` shows what runs where")
    else:
        _print(console, wired, result, seconds)


def _print(console: Console, wired: Wired, result: UpResult, seconds: float) -> None:
    from pgstead.cli.overview import connect_lines, own_path, rows

    design = wired.design
    done = len(result.operations)
    console.line(f'stead "{design.name}" is up ({done} changes in {seconds:.1f} s)')
    console.line()
    console.table(rows(design), ("what", "where", "which"), indent="  ")
    console.line()
    console.table(connect_lines(design), ("to connect", "as"), indent="  ")
    console.line()
    warnings = sum(notice.severity == "warning" for notice in design.notices)
    if warnings:
        console.warn(f"{warnings} known weaknesses of these versions: `pgstead status` lists them")
    if wired.moved:
        console.say(
            f"note: the servers run as {design.host.server_user!r}, who cannot enter "
            f"{design.layout.manifest_directory}; the state is in {design.layout.state}"
        )
    console.hint("`pgstead prove` tries every promise, `pgstead status` shows what runs")
    if elsewhere := own_path():
        console.hint(f"here `pgstead` is {elsewhere}; `. {elsewhere.parent}/activate` shortens it")


def _told(wired: Wired, result: UpResult, seconds: float) -> dict[str, object]:
    from pgstead.model.operation import Plan
    from pgstead.plan import wording

    design = wired.design
    return {
        **wording.as_json(Plan(result.operations)),
        "stead": design.name,
        "changed": result.changed,
        "initialized": result.initialized,
        "seconds": round(seconds, 3),
        "state": design.layout.state,
        "doors": design.doors,
        "databases": [database.name for database in design.databases],
        "notices": design.notices,
    }
