"""`pgstead init`."""

from __future__ import annotations

from pathlib import Path

import click

from pgstead.cli.command import command as new_command
from pgstead.cli.console import Console
from pgstead.cli.invocation import Invocation, invocation_of
from pgstead.errors import UsageError


@new_command(
    "init",
    ("pgstead init", "write ./pgstead.toml, named after this directory"),
    ("pgstead init --name orders", "choose the name of stead and database"),
    ("pgstead -C services/orders init", "write it elsewhere"),
    exits=(0, 2),
)
@click.option(
    "--name", help="The name of the stead and of its database. [default: the directory's]"
)
def command(name: str | None) -> None:
    """Write a starter manifest.

    The file says in comments what can be changed. An existing manifest is never overwritten.
    """
    from pgstead.manifest.starter import text

    invocation = invocation_of()
    console = Console(invocation)
    path = _target(invocation)
    chosen = name or _name_from(path.parent.name)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text(chosen))
    except FileExistsError:
        raise UsageError(
            f"{path} exists already", hint="edit it, then `pgstead plan` shows what that changes"
        ) from None
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error
    if invocation.json:
        console.data({"manifest": str(path), "name": chosen})
        return
    console.line(f"wrote {path}")
    console.hint("`pgstead doctor` looks at this machine, `pgstead up` makes it run")


def _target(invocation: Invocation) -> Path:
    from pgstead.cli.place import MANIFEST

    path = Path(invocation.manifest or ".").absolute()
    return path if path.suffix == ".toml" else path / MANIFEST


def _name_from(directory: str) -> str:
    """Turn a directory's name into one that a database may have without quotes."""
    letters = "".join(c if c.isascii() and c.isalnum() else "_" for c in directory.lower())
    name = letters.strip("_") or "stead"
    return name if name[0].isalpha() else f"db_{name}"
