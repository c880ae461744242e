"""`pgstead backup export`."""

from __future__ import annotations

from pathlib import Path

import click

from pgstead.cli.backing import backed_up, size
from pgstead.cli.command import command as new_command
from pgstead.cli.console import Console
from pgstead.cli.invocation import invocation_of


@new_command(
    "export",
    ("pgstead backup export", "every database, and the roles"),
    ("pgstead backup export shop --out /mnt/dumps", "one, somewhere else"),
    exit_1="a dump failed: nothing is left of this run",
)
@click.argument("databases", metavar="[DB]...", nargs=-1)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Where to.")
def command(databases: tuple[str, ...], out: Path | None) -> None:
    """Dump databases for other versions of PostgreSQL, other machines, or a look inside.

    Each becomes DB_YYYYmmdd_HHMMSS.dump (UTC), in pg_dump's custom format, compressed, as of one
    moment; the roles become globals_YYYYmmdd_HHMMSS.sql, without passwords. The files are plain
    and have mode 0600: whoever gets them can read every row. Those of ours in that directory that
    are older than the manifest keeps them (30 days) are removed.
    """
    from pgstead.workflows.exports import export

    invocation = invocation_of()
    console = Console(invocation)
    with console.working():
        wired = backed_up(invocation, console)
        place = None if out is None else out.absolute()
        made = export(wired.design, wired.ports, "command", databases, place)
    if invocation.json:
        console.data(
            [{"database": d.database, "file": d.file, "size": d.size} for d in made]
        )  # fmt: skip
        return
    for dump in made:
        console.line(f"{size(dump.size):>10}  {dump.file}")
    console.hint("`pg_restore --list FILE` shows what is in one")
