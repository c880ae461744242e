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
    from pgstead.workflows.destroy import Destroyed


@new_command(
    "destroy",
    ("pgstead destroy", "asks for the stead's name first"),
    ("pgstead destroy --yes", "does not ask"),
    ("pgstead destroy --with-backups", "those outside of the state too"),
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--with-backups", is_flag=True, help="Backups that lie elsewhere, and their key too.")
def command(yes: bool, with_backups: bool) -> None:
    """Stop everything and remove all that pgstead made, data included.

    The manifest, migrations and whatever else lies in the state directory stay. Backups in the
    state directory go with it. Those that `backup.directory` puts elsewhere stay, and so does the
    passphrase that opens them: `pgstead restore --in-place` brings all of it back.
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
        _must_agree(invocation, wired, with_backups=with_backups)
    with console.working(), locked(wired):
        done = destroy(wired.design, wired.ports, with_backups=with_backups)
    wired.forget()
    foreign = tuple(str(path) for path in done.left if Path(path).exists())
    _answer(console, wired, f'stead "{name}" is destroyed', foreign, done)


def _must_agree(invocation: Invocation, wired: Wired, *, with_backups: bool) -> None:
    """Ask for the name; never take silence for consent."""
    from pgstead.workflows.destroy import backups_outside

    name = wired.design.name
    if invocation.json or not sys.stdin.isatty():
        raise UsageError(
            f'destroying stead "{name}" needs consent, and there is nobody to ask',
            hint="`pgstead destroy --yes`",
        )
    click.echo(f"this removes all databases of {wired.design.layout.state}:", err=True)
    for database in wired.design.databases:
        click.echo(f"  {database.name}", err=True)
    outside = backups_outside(wired.design)
    if wired.design.backup is not None and (with_backups or not outside):
        click.echo("and their backups: nothing can be restored then", err=True)
    for place in () if with_backups else outside:
        click.echo(f"backups stay: {place}", err=True)
    answer = click.prompt(f"type {name} to go on", default="", show_default=False, err=True)
    if answer != name:
        raise UsageError("not destroyed: the name was not given", hint="nothing was changed")


def _answer(
    console: Console,
    wired: Wired,
    text: str,
    left: tuple[str, ...],
    done: Destroyed | None = None,
) -> None:
    backups = () if done is None else tuple(str(place) for place in done.backups)
    passphrase = None if done is None else done.passphrase
    if console.json:
        console.data(
            {
                "stead": wired.design.name,
                "result": text,
                "left": left,
                "backups": backups,
                "passphrase_file": passphrase,
            }
        )
        return
    console.line(text)
    if left:
        console.say("left alone, because pgstead did not make it:")
        for path in left:
            console.say(f"  {path}")
    for path in backups:
        console.say(f"backups are still in {path}")
    if passphrase is not None:
        console.say(f"what opens them is still in {passphrase}")
        console.hint("`pgstead restore --in-place` brings it back; copy the passphrase elsewhere")
