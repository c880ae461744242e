"""`pgstead restore`."""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pgstead.cli.backing import age, backed_up, moment, size
from pgstead.cli.command import command as new_command
from pgstead.cli.console import Console
from pgstead.cli.fetching import from_copy
from pgstead.cli.invocation import Invocation, invocation_of
from pgstead.errors import PersonalDataError, UsageError

if TYPE_CHECKING:
    from pgstead.cli.wiring import Wired
    from pgstead.model.backup import Target
    from pgstead.workflows.restore import Recipe, Restoration


@new_command(
    "restore",
    ("pgstead restore --rehearse", "say what it would take, and do nothing"),
    ("pgstead restore", "the last moment, beside the running server"),
    ("pgstead restore --to-time 2026-11-21T14:05:00+01:00", "a moment"),
    ("pgstead restore --extract shop.orders --into orders.dump", "one table, as a dump"),
    ("pgstead restore --in-place", "over what runs now, which is kept; asks"),
    ("pgstead restore --from s3 --in-place --yes", "on a new machine, from the copy in S3"),
    exit_1="it could not be restored",
)
@moment
@from_copy
@click.option("--timeline", type=click.IntRange(1), help="Of a history that was left.")
@click.option("--backup", "name", metavar="NAME", default="", help="From which. [default: found]")
@click.option("--into", type=click.Path(path_type=Path), help="Where to; with --extract, the file.")
@click.option("--in-place", is_flag=True, help="Over the running stead.")
@click.option("--extract", metavar="DB[.TABLE]", help="Only that, as a dump for pg_restore.")
@click.option("--rehearse", is_flag=True, help="Print what would be done.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def command(
    target: Target,
    timeline: int | None,
    name: str,
    into: Path | None,
    in_place: bool,
    extract: str | None,
    rehearse: bool,
    yes: bool,
) -> None:
    """Bring back what was, to any moment, beside the running server.

    That is not touched unless --in-place says so: a data directory is left in the state, replayed
    and shut down. Without a moment it is the last one. What is restored is on a timeline of its own
    and never writes to the repository.

    With `--from s3` the repository is fetched from its copy in object storage first, on a machine
    that has none; `--key` names what `pgstead backup key export` wrote, unless the copy has it.
    """
    from pgstead.workflows import restore

    invocation = invocation_of()
    console = Console(invocation)
    if in_place and (extract or into):
        raise UsageError("--in-place goes with neither --extract nor --into")
    wired = backed_up(invocation, console)
    place = _place(wired, into, extract)
    if timeline is not None:
        target = replace(target, timeline=str(timeline))
    planned = restore.recipe(wired.ports, target, place, name=name)
    if rehearse:
        _print_recipe(console, planned, place)
        return
    if in_place:
        done = _in_place(invocation, console, wired, planned, yes=yes)
    else:
        with console.working():
            if extract:
                database, _, table = extract.partition(".")
                done = restore.extract(wired.ports, planned, database, table, place)
            else:
                done = restore.restore(wired.ports, planned, place)
    _print(console, done, extract)


def _place(wired: Wired, into: Path | None, extract: str | None) -> Path:
    if into is not None:
        return into.absolute()
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    if extract:
        return Path(f"{extract}_{stamp}.dump").absolute()
    return Path(wired.design.layout.backup, "restored", stamp)


def _in_place(
    invocation: Invocation, console: Console, wired: Wired, planned: Recipe, *, yes: bool
) -> Restoration:
    from pgstead.cli.pii import personal_ports
    from pgstead.cli.wiring import prepared, wire
    from pgstead.model.operation import Impact
    from pgstead.workflows import backup, restore
    from pgstead.workflows.erasure import replay
    from pgstead.workflows.up import up

    if not yes:
        _must_agree(invocation, wired, planned)
    with console.working(), prepared(wired):
        if wired.ports.sql.answers():
            # of what is about to be replaced
            backup.make(wired.ports, "before a restore")
        done = restore.in_place(wired.design, wired.ports, planned)
        if wired.design.host.network is not None:
            return done  # in containers the engine starts what is stopped, and `up` is in that
        again = wire(invocation.manifest, console)
        up(again.design, again.ports, allow=Impact.RESTART)
        try:  # whoever was erased since then is back
            replay(again.design, again.ports, personal_ports(again))
        except PersonalDataError as error:
            console.warn(f"{error.message}; `pgstead pii replay` tries it again")
        # earlier ones lead to a history that is over
        backup.make(again.ports, "after a restore")
    return done


def _must_agree(invocation: Invocation, wired: Wired, planned: Recipe) -> None:
    name = wired.design.name
    if invocation.json or not sys.stdin.isatty():
        raise UsageError(
            f'restoring over stead "{name}" needs consent, and there is nobody to ask',
            hint="`pgstead restore --in-place --yes`",
        )
    click.echo(
        f"what was written after {planned.target} will be gone from the running server;"
        " its data directory is kept beside",
        err=True,
    )
    answer = click.prompt(f"type {name} to go on", default="", show_default=False, err=True)
    if answer != name:
        raise UsageError("not restored: the name was not given", hint="nothing was changed")


def _print_recipe(console: Console, planned: Recipe, place: Path) -> None:
    found = planned.backup
    if console.json:
        console.data(
            {
                "backup": found.name,
                "target": str(planned.target),
                "into": place,
                "room": planned.room,
                "free": planned.free,
                "estimate_seconds": planned.estimate,
            }
        )
        return
    console.line(f"base backup  {found.name}, {found.kind}, {age(found.ended)}")
    console.line(f"replay       from {found.begin_lsn} to {planned.target}")
    console.line(f"into         {place}")
    console.line(f"room         {size(planned.room)} needed, {size(planned.free)} free")
    told = "unknown: none was restored yet"
    if planned.estimate is not None:
        told = f"about {planned.estimate:.0f} s, as earlier ones took by their size"
    console.line(f"takes        {told}")


def _print(console: Console, done: Restoration, extract: str | None) -> None:
    if console.json:
        console.data(
            {
                "backup": done.backup,
                "target": done.target,
                "place": done.place,
                "seconds": round(done.seconds, 3),
                "last_row": done.ledger.last,
                "last_row_at": done.ledger.at,
                "kept": done.kept or None,
            }
        )
        return
    console.line(f"{done.backup} restored to {done.target} in {done.seconds:.1f} s: {done.place}")
    if done.ledger.at is not None:
        console.line(f"the ledger ends with row {done.ledger.last} of {done.ledger.at:%F %T %Z}")
    if done.kept:
        console.line(f"what was there before is in {done.kept}")
    elif extract:
        console.hint(f"`pg_restore --list {done.place}` shows what is in it")
    else:
        console.hint("it is a data directory, shut down: `postgres -D` starts on it, or remove it")
