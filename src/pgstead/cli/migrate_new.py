"""`pgstead migrate new DB -m MESSAGE`."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pgstead.cli.command import command as new_command
from pgstead.cli.console import Console
from pgstead.cli.invocation import invocation_of
from pgstead.cli.migrating import History, chosen
from pgstead.errors import SteadError, UsageError

if TYPE_CHECKING:
    from alembic.config import Config


@new_command(
    "new",
    ("pgstead migrate new shop -m 'prices'", "what the models have and the database has not"),
    ("pgstead migrate new shop -m 'fill prices' --empty", "to be written by hand"),
    ("pgstead migrate new shop -m 'merge' --merge", "two heads become one"),
)
@click.argument("database", metavar="DB")
@click.option("-m", "--message", required=True, help="What it does, in a few words.")
@click.option("--empty", is_flag=True, help="Compare nothing: upgrade and downgrade are yours.")
@click.option("--merge", is_flag=True, help="Merge all heads.")
def command(database: str, message: str, empty: bool, merge: bool) -> None:
    """Write a revision of what the models have and the database has not.

    It always has a way back and a docstring, and is formatted. Read it before it runs: a column
    that was renamed looks like one that went and one that came. Where nothing changed, no file is
    written.
    """
    invocation = invocation_of()
    console = Console(invocation)
    if empty and merge:
        raise UsageError("--empty and --merge exclude each other", hint="a merge is empty anyway")
    history = History(chosen([database], invocation)[0], invocation)
    _refuse(history, merge=merge)
    before = {file.path for file in history.files}
    _write(history, console, message, empty=empty, merge=merge)
    after = History(history.entry, invocation)
    written = [file.path for file in after.files if file.path not in before]
    for path in written:
        _finish(history.root / path)
    if invocation.json:
        console.data({database: {"written": written}})
    elif not written:
        console.line(f"{database}: models and database agree, no revision was written")
    else:
        console.line("\n".join(written))
        console.hint(f"`pgstead migrate lint {database}` says what it would break")


def _refuse(history: History, *, merge: bool) -> None:
    """Raise SteadError where the new one would not know what it comes after."""
    from pgstead.plan import history as planned

    for problem in planned.problems(history.files, history.entry.name):
        if not (merge and problem.kind == "two-heads"):
            raise SteadError(f"{history.entry.name}: {problem.says}", hint=problem.way_out)
    if merge and len(planned.heads(history.files)) < 2:
        raise UsageError("there is nothing to merge", hint="there is one head already")


def _write(history: History, console: Console, message: str, *, empty: bool, merge: bool) -> None:
    from io import StringIO

    from alembic import command as alembic

    from pgstead.app.migrations import AUTOGENERATE

    def create(config: Config) -> None:
        config.attributes[AUTOGENERATE] = not (empty or merge)
        if merge:
            alembic.merge(config, "heads", message=message)
        else:
            alembic.revision(config, message=message, autogenerate=not empty)

    # only what compares needs the database
    with history.alembic(console, output=StringIO() if empty or merge else None) as config:
        create(config)


def _finish(path: Path) -> None:
    """Format the file, and see that it has a docstring and a way back."""
    from pgstead.host.formatting import format_file

    format_file(path, sys.executable)
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions: dict[str, Any] = {f.name: f for f in tree.body if isinstance(f, ast.FunctionDef)}
    lacking = [name for name in ("upgrade", "downgrade") if name not in functions]
    if ast.get_docstring(tree) is None:
        lacking.append("a docstring")
    if lacking:
        raise SteadError(
            f"{path} was written without {' and '.join(lacking)}",
            hint="the template script.py.mako beside env.py leaves it out; put it in",
        )
