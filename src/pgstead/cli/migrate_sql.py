"""`pgstead migrate sql DB [REV]`."""

from __future__ import annotations

from io import StringIO

import click

from pgstead.cli.command import command as new_command
from pgstead.cli.console import Console
from pgstead.cli.invocation import invocation_of
from pgstead.cli.migrate_run import refuse_broken
from pgstead.cli.migrating import History, chosen
from pgstead.errors import UsageError


@new_command(
    "sql",
    ("pgstead migrate sql shop", "what `up` would execute"),
    ("pgstead migrate sql shop 5d1c7a", "what one revision executes; needs no server"),
    ("pgstead migrate sql shop 5d1c7a --down", "and what takes it back"),
    ("pgstead migrate sql shop --all > schema.sql", "from nothing; needs no server"),
)
@click.argument("database", metavar="DB")
@click.argument("revision", required=False, metavar="[REV]")
@click.option("--down", is_flag=True, help="The way back of REV.")
@click.option("--all", "everything", is_flag=True, help="All revisions, from nothing.")
def command(database: str, revision: str | None, down: bool, everything: bool) -> None:
    """Print the statements of revisions, and run none.

    By default those of what is pending. A script that is run by hand is not in the ledger, waits
    for locks without end, and does not clean up behind a concurrent index: `up` does.
    """
    from alembic import command as alembic

    invocation = invocation_of()
    console = Console(invocation)
    if down and revision is None:
        raise UsageError("--down needs to know of which revision", hint="DB REV --down")
    if everything and revision is not None:
        raise UsageError("REV and --all exclude each other", hint="--all has them all")
    history = History(chosen([database], invocation)[0], invocation)
    refuse_broken(history, several="REV" if revision is None else "")
    script = StringIO()
    with history.alembic(console, output=script) as config:
        for span in _spans(history, revision, everything=everything, down=down):
            (alembic.downgrade if down else alembic.upgrade)(config, span, sql=True)
    if invocation.json:
        console.data({database: script.getvalue()})
    else:
        console.line(script.getvalue().rstrip("\n"))


def _spans(history: History, revision: str | None, *, everything: bool, down: bool) -> list[str]:
    """Return the ranges that Alembic is to write, `from:to`."""
    if everything:
        return ["base:heads"]
    if revision is None:
        at = history.found.heads
        if not history.pending:
            return []
        return [f"{at[0] if at else 'base'}:heads"]
    known = {file.name: file for file in history.files}
    found = [revision] if revision in known else [n for n in known if n.startswith(revision)]
    if len(found) != 1:
        raise UsageError(
            f"{revision!r} means {len(found)} revisions",
            hint=f"`pgstead migrate history {history.entry.name}` lists them",
        )
    parents = known[found[0]].parents
    before = parents[0] if parents else "base"
    return [f"{found[0]}:{before}" if down else f"{before}:{found[0]}"]
