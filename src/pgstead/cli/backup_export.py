"""`pgstead backup export` and `pgstead backup open`."""

from __future__ import annotations

from pathlib import Path

import click

from pgstead.cli.backing import backed_up, size
from pgstead.cli.command import command as new_command
from pgstead.cli.console import Console
from pgstead.cli.invocation import invocation_of
from pgstead.errors import UsageError

_SEALED = ".gpg"


@new_command(
    "export",
    ("pgstead backup export", "every database, and the roles"),
    ("pgstead backup export shop --out /mnt/dumps", "one, somewhere else"),
    ("pgstead backup export --plain --out DIR", "for who has no key"),
    exit_1="a dump failed: nothing is left of this run",
)
@click.argument("databases", metavar="[DB]...", nargs=-1)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Where to.")
@click.option("--plain", is_flag=True, help="Not sealed; needs --out.")
def command(databases: tuple[str, ...], out: Path | None, plain: bool) -> None:
    """Dump databases for other versions of PostgreSQL, other machines, or a look inside.

    Each becomes DB_YYYYmmdd_HHMMSS.dump.gpg (UTC): pg_dump's custom format, compressed, as of one
    moment, and sealed to the key of the backups; the roles become globals_YYYYmmdd_HHMMSS.sql.gpg,
    without passwords. The key, under its passphrase, lies beside them. `pgstead backup open`
    opens one. Where backups are not encrypted, or with --plain, the files are plain: whoever gets
    them can read every row. Every dump is read again before it has its name. Those of ours in
    that directory that are older than the manifest keeps them (30 days) are removed.
    """
    from pgstead.workflows.exports import export

    invocation = invocation_of()
    console = Console(invocation)
    with console.working():
        wired = backed_up(invocation, console)
        place = None if out is None else out.absolute()
        made = export(wired.design, wired.ports, "command", databases, place, plain=plain)
    if invocation.json:
        told = [
            {"database": d.database, "file": d.file, "size": d.size, "sha256": d.sum,
             "sealed": d.sealed}
            for d in made
        ]  # fmt: skip
        console.data(told)
        return
    for dump in made:
        console.line(f"{size(dump.size):>10}  {dump.file}")
    if made[0].sealed:
        console.hint("`pgstead backup open FILE` opens one; the passphrase is needed for that")
    else:
        console.hint("`pg_restore --list FILE` shows what is in one")


@new_command(
    "open",
    ("pgstead backup open shop_20261121_040000.dump.gpg", "here, without .gpg"),
    ("pgstead backup open FILE --out shop.dump", "somewhere else"),
    exit_1="it does not open",
)
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Where to.")
def open_(file: Path, out: Path | None) -> None:
    """Open a dump that `pgstead backup export` sealed: write it as pg_restore or psql read it.

    What is written has mode 0600 and shows every row: remove it when it was loaded. Without
    pgstead, gpg does it; how is in docs/how-to/back-up-and-restore.md.
    """
    from pgstead.workflows.exports import opened

    invocation = invocation_of()
    console = Console(invocation)
    sealed = file.absolute()
    if out is None and sealed.suffix != _SEALED:
        raise UsageError(f"{sealed} does not end with {_SEALED}", hint="say where to: --out FILE")
    place = Path(sealed.stem if out is None else out).absolute()
    with console.working():
        wired = backed_up(invocation, console)
        written = opened(wired.design, wired.ports, sealed, place)
    if invocation.json:
        console.data({"file": place, "size": written})
        return
    console.line(f"{size(written):>10}  {place}")
    program = "psql --file" if place.suffix == ".sql" else "pg_restore --list"
    console.hint(f"`{program} {place}`; it is plain: remove it when it was loaded")
