"""`pgstead backup key show|export|rotate|passphrase`."""

from __future__ import annotations

import secrets
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pgstead.cli.backing import backed_up
from pgstead.cli.command import CommandGroup
from pgstead.cli.command import command as new_command
from pgstead.cli.console import Console
from pgstead.cli.invocation import invocation_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pgstead.model.backup import KeyPair

_APART = "keep its passphrase apart from it: with both, every row can be read"


def _told(pair: KeyPair) -> Mapping[str, object]:
    return {
        "fingerprint": pair.fingerprint,
        "made": pair.made,
        "current": pair.current,
        "sealed": pair.sealed,
    }


@new_command("show", ("pgstead backup key show", "the pairs, and how much each has sealed"))
def _show() -> None:
    """Show the key pairs of the repository, and how many files each of them opens.

    New backups and WAL are sealed to the newest; the others open what was sealed before. All
    lie in the repository, under one passphrase.
    """
    from pgstead.workflows import backup_keys

    invocation = invocation_of()
    console = Console(invocation)
    wired = backed_up(invocation, console)
    found = backup_keys.show(wired.ports)
    plan = wired.design.backup
    assert plan is not None
    if invocation.json:
        console.data(
            {"keys": [_told(pair) for pair in found], "place": plan.key, "passphrase_file":
             plan.passphrase}
        )  # fmt: skip
        return
    rows = [
        (p.fingerprint, f"{p.made:%F %T}", "current" if p.current else "former", str(p.sealed))
        for p in found
    ]
    console.table(rows, ("fingerprint", "made (UTC)", "state", "files"))
    console.line(f"the pairs are in {plan.key}, their passphrase is in {plan.passphrase}")


@new_command(
    "export",
    ("pgstead backup key export backup-keys.asc", "a copy, to be kept elsewhere"),
)
@click.argument("file", type=click.Path(path_type=Path))
def _export(file: Path) -> None:
    """Copy all key pairs, under their passphrase, to a file of mode 0600 that is not there yet.

    The repository holds them too; the copy is for the day on which only they are damaged.
    """
    from pgstead.workflows import backup_keys

    invocation = invocation_of()
    console = Console(invocation)
    place = file.absolute()
    found = backup_keys.export(backed_up(invocation, console).ports, place)
    if invocation.json:
        console.data({"file": place, "keys": [_told(pair) for pair in found]})
        return
    console.line(f"{len(found)} key pair(s) are in {place}")
    console.hint(_APART)


@new_command("rotate", ("pgstead backup key rotate", "a new pair; what is there stays readable"))
def _rotate() -> None:
    """Make a further key pair, which new backups and WAL are sealed to from now on.

    What was sealed before is not sealed anew: its pair stays until nothing needs it, and longer,
    for copies of the repository elsewhere. Where a key may have become known, change the
    passphrase too, and make a base backup.
    """
    from pgstead.workflows import backup_keys

    invocation = invocation_of()
    console = Console(invocation)
    with console.working():
        wired = backed_up(invocation, console)
        made = backup_keys.rotate(wired.design, wired.ports)
    if invocation.json:
        console.data(_told(made))
        return
    console.line(f"new backups and WAL are sealed to {made.fingerprint}")
    console.hint("`pgstead backup now --verify` shows that it opens what it seals")


@new_command(
    "passphrase",
    ("pgstead backup key passphrase", "one that is made up"),
    ("pgstead backup key passphrase --file new", "the first line of a file"),
)
@click.option("--file", type=click.Path(path_type=Path, exists=True, dir_okay=False),
              help="Where the new one is. [default: a random one]")  # fmt: skip
def _passphrase(file: Path | None) -> None:
    """Change the passphrase of all key pairs.

    The new one takes the place of the old one in the file that the stead reads it from. Copies
    of the repository that were made before open with the old one.
    """
    from pgstead.workflows import backup_keys

    invocation = invocation_of()
    console = Console(invocation)
    wired = backed_up(invocation, console)
    plan = wired.design.backup
    assert plan is not None
    with console.working(), tempfile.TemporaryDirectory() as directory:
        if file is None:
            file = Path(directory, "passphrase")
            file.touch(mode=0o600)
            file.write_text(secrets.token_urlsafe(32) + "\n", encoding="ascii")
        backup_keys.change_passphrase(wired.design, wired.ports, file)
    if invocation.json:
        console.data({"passphrase_file": plan.passphrase})
        return
    console.line(f"the new passphrase is in {plan.passphrase}")
    console.hint("keep a copy of it outside of this machine: without it nothing can be restored")


command = CommandGroup(
    "key",
    help="Show, copy and change the keys that backups are sealed to.",
    examples=(
        ("pgstead backup key show", "which there are"),
        ("pgstead backup key rotate", "a new pair from now on"),
    ),
)
for _part in (_show, _export, _rotate, _passphrase):
    command.add_command(_part)
