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
    ("pgstead init --application", "with app.py, alembic.ini and migrations/ to begin with"),
    ("pgstead -C services/orders init", "write it elsewhere"),
    exits=(0, 2),
)
@click.option(
    "--name", help="The name of the stead and of its database. [default: the directory's]"
)
@click.option("--application", is_flag=True, help="Begin an application on it too.")
def command(name: str | None, *, application: bool) -> None:
    """Write a starter manifest, and with --application what an application begins with.

    The file says in comments what can be changed. An existing file is never overwritten.
    """
    from pgstead.manifest import skeleton, starter

    invocation = invocation_of()
    console = Console(invocation)
    path = _target(invocation)
    chosen = name or _name_from(path.parent.name)
    texts = {path: starter.text(chosen, application=application)}
    if application:
        texts |= {path.parent / place: text for place, text in skeleton.files(chosen).items()}
    _write(texts)
    if invocation.json:
        console.data({"manifest": str(path), "name": chosen, "files": [str(p) for p in texts]})
        return
    for written in texts:
        console.line(f"wrote {written}")
    console.hint("`pgstead doctor` looks at this machine, `pgstead up` makes it run")


def _write(texts: dict[Path, str]) -> None:
    """Write all of the files, or none where one of them exists."""
    for path in texts:
        if path.exists():
            raise UsageError(
                f"{path} exists already",
                hint="edit it, then `pgstead plan` shows what that changes"
                if path.suffix == ".toml"
                else "`pgstead init` without --application writes the manifest alone",
            )
    for path, text in texts.items():
        try:
            if path.parent != next(iter(texts)).parent:
                path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise UsageError(f"{path} cannot be written: {error.strerror}") from error


def _target(invocation: Invocation) -> Path:
    from pgstead.cli.place import MANIFEST

    path = Path(invocation.manifest or ".").absolute()
    return path if path.suffix == ".toml" else path / MANIFEST


def _name_from(directory: str) -> str:
    """Turn a directory's name into one that a database may have without quotes."""
    letters = "".join(c if c.isascii() and c.isalnum() else "_" for c in directory.lower())
    name = letters.strip("_") or "stead"
    return name if name[0].isalpha() else f"db_{name}"
