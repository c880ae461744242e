"""`pgstead destroy`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pgstead.cli.command import command as new_command
from pgstead.cli.console import Console
from pgstead.cli.invocation import Invocation, invocation_of
from pgstead.errors import UsageError

if TYPE_CHECKING:
    from pgstead.cli.wiring import Wired


@new_command(
    "destroy",
    ("pgstead destroy", "asks for the stead's name first"),
    ("pgstead destroy --yes", "does not ask"),
)
@click.option("--yes", is_flag=True, help="Do not ask.")
def command(yes: bool) -> None:
    """Stop everything and remove all that pgstead made, data included.

    The manifest, migrations and whatever else lies in the state directory stay. There is no way
    back but a backup.
    """
    from pgstead.cli.wiring import locked, wire_to_stop
    from pgstead.workflows.destroy import destroy

    invocation = invocation_of()
    console = Console(invocation)
    wired = wire_to_stop(invocation.manifest, console)
    name = wired.design.name
    if not wired.exists:
        _answer(console, wired, "there is nothing to destroy", ())
        return
    if not yes:
        _must_agree(invocation, wired)
    with console.working(), locked(wired):
        left = destroy(wired.design, wired.ports)
    wired.forget()
    foreign = tuple(str(path) for path in left if Path(path).exists())
    _answer(console, wired, f'stead "{name}" is destroyed', foreign)


def _must_agree(invocation: Invocation, wired: Wired) -> None:
    """Ask for the name; never take silence for consent."""
    name = wired.design.name
    if invocation.json or not sys.stdin.isatty():
        raise UsageError(
            f'destroying stead "{name}" needs consent, and there is nobody to ask',
            hint="`pgstead destroy --yes`",
        )
    click.echo(f"this removes all databases of {wired.design.layout.state}:", err=True)
    for database in wired.design.databases:
        click.echo(f"  {database.name}", err=True)
    answer = click.prompt(f"type {name} to go on", default="", show_default=False, err=True)
    if answer != name:
        raise UsageError("not destroyed: the name was not given", hint="nothing was changed")


def _answer(console: Console, wired: Wired, text: str, left: tuple[str, ...]) -> None:
    if console.json:
        console.data({"stead": wired.design.name, "result": text, "left": left})
        return
    console.line(text)
    if left:
        console.say("left alone, because pgstead did not make it:")
        for path in left:
            console.say(f"  {path}")
