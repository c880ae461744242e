"""`pgstead pii report|export|erase|replay|mask`."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pgstead.cli.command import CommandGroup
from pgstead.cli.command import command as new_command
from pgstead.cli.console import Console
from pgstead.cli.invocation import invocation_of
from pgstead.errors import ExitStatus, UsageError

if TYPE_CHECKING:
    from pgstead.cli.wiring import Wired
    from pgstead.model.personal import Inventory
    from pgstead.ports.personal import PersonalPorts
    from pgstead.workflows.erasure import Outcome

_DATABASE = click.option(
    "--database", "name", metavar="DB", default="", help="Which. [default: the only one]"
)
_SUBJECT = click.option(
    "--subject", "who", metavar="KEY", required=True, help="The person: a key, or an address."
)


def _wired(console: Console) -> Wired:
    from pgstead.cli.wiring import wire

    return wire(invocation_of().manifest, console, tolerant=True)


def personal_ports(wired: Wired) -> PersonalPorts:
    """Return the adapters for what concerns persons."""
    from pgstead.host.erasures import ErasureFile, files_with
    from pgstead.ports.personal import PersonalPorts

    layout = wired.design.layout
    places = (layout.server_log, layout.pooler, layout.logs, layout.audit, layout.journal)
    return PersonalPorts(
        ErasureFile(Path(layout.erasures)),
        lambda values: files_with(values, [Path(place) for place in places]),
    )


def _chosen(wired: Wired, name: str) -> str:
    names = [plan.name for plan in wired.design.databases]
    if name in names:
        return name
    if not name and len(names) == 1:
        return names[0]
    said = f"the manifest names no database {name!r}" if name else "it is not said which database"
    raise UsageError(said, hint=f"--database {' | '.join(names)}")


# -- report -------------------------------------------------------------------------------------


@new_command(
    "report",
    ("pgstead pii report", "which columns hold what, by class"),
    ("pgstead pii report --class personal --class sensitive", "those of persons alone"),
)
@_DATABASE
@click.option(
    "--class", "classes", multiple=True,
    type=click.Choice(("public", "internal", "personal", "sensitive", "unclassified")),
    help="Only these columns. [default: all]",
)  # fmt: skip
def _report(name: str, classes: tuple[str, ...]) -> None:
    """Show what each column holds, by class, and what says none.

    It is read from the database: the classes end the comments of its columns.
    """
    from pgstead.observe.personal import inventory

    console = Console(invocation_of())
    wired = _wired(console)
    names = [_chosen(wired, name)] if name else [plan.name for plan in wired.design.databases]
    told: list[dict[str, Any]] = []
    for database in names:
        with wired.ports.sql.connect(database, read_only=True) as connection:
            held = inventory(connection, database, wired.design.build.major)
        told.append(_told(held, classes))
    unfinished = [e.id for e in personal_ports(wired).erasures.all() if not e.finished]
    if console.json:
        console.data({"databases": told, "unfinished_erasures": unfinished})
        return
    for database in told:
        _print_report(console, database)
    if unfinished:
        console.warn(f"{len(unfinished)} erasures were cut off: `pgstead pii replay` ends them")


def _told(held: Inventory, classes: tuple[str, ...]) -> dict[str, Any]:
    columns = [
        {
            "table": table.shown,
            "column": column.name,
            "class": str(column.mark.cls) if column.mark else "unclassified",
            "kind": column.kind if column.personal else "",
            "tie": str(column.mark.tie) if column.mark and column.mark.tie else "",
        }
        for table in held.tables
        for column in table.columns
    ]
    counts = Counter(c["class"] for c in columns)
    return {
        "database": held.database,
        "subjects": {t.shown: list(t.subject.names) for t in held.subjects if t.subject},
        "counts": dict(counts),
        "unreached": [t.shown for t in held.unreached],
        "columns": [c for c in columns if not classes or c["class"] in classes],
    }


def _print_report(console: Console, told: dict[str, Any]) -> None:
    rows = [
        (f"{c['table']}.{c['column']}", c["class"], c["kind"], c["tie"]) for c in told["columns"]
    ]
    console.table(rows, ("COLUMN", "CLASS", "KIND", "TIE"))
    counts = ", ".join(f"{count} {word}" for word, count in sorted(told["counts"].items()))
    named = [f"{table} by {' or '.join(names)}" for table, names in told["subjects"].items()]
    console.line(f"{told['database']}: {counts}; persons: {'; '.join(named) or 'no table'}")
    if told["unreached"]:
        console.warn(f"no erasure comes to the personal columns of {', '.join(told['unreached'])}")
    if told["counts"].get("unclassified"):
        console.warn("columns are unclassified: --class unclassified shows them")


# -- erase --------------------------------------------------------------------------------------


@new_command(
    "erase",
    ("pgstead pii erase --subject ada@example.com --dry-run", "say what would go, and undo it"),
    ("pgstead pii erase --subject ada@example.com", "asks; and searches for them afterwards"),
    exit_1="it was refused, or something of the person is left",
)
@_DATABASE
@_SUBJECT
@click.option("--dry-run", "dry", is_flag=True, help="Do it all in a transaction, and undo it.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def _erase(name: str, who: str, dry: bool, yes: bool) -> int:
    """Erase one person from all tables and the change history, and prove it.

    Rows go, or stay without what is personal in them, as the models declare. Then every column of
    every table is searched for what the person was known by. It is one transaction: killed in
    the middle nothing was erased, and the next run does it; a restore is followed by it.
    """
    from pgstead.workflows.erasure import erase

    console = Console(invocation_of())
    wired = _wired(console)
    database = _chosen(wired, name)
    if not dry and not yes:
        _must_agree(console, who)
    with console.working():
        done = erase(wired.design, wired.ports, personal_ports(wired), database, who, dry=dry)
    _print(console, done)
    return ExitStatus.DONE if done.clean else ExitStatus.FAILED


def _must_agree(console: Console, who: str) -> None:
    if console.json or not sys.stdin.isatty():
        raise UsageError(
            "erasing a person needs consent, and there is nobody to ask",
            hint="`pgstead pii erase --subject KEY --yes`; --dry-run shows what would go",
        )
    click.echo("what is erased cannot be brought back", err=True)
    if click.prompt("type the key again to go on", default="", err=True) != who:
        raise UsageError("not erased: the key was not given", hint="nothing was changed")


def _print(console: Console, done: Outcome) -> None:
    if console.json:
        console.data({**_plain(done), "clean": done.clean})
        return
    console.table(list(_lines(done)), ("WHERE", "WHAT", ""))
    if done.rehearsed:
        console.line(f"nothing was changed; {sum(s.rows for s in done.steps)} rows would be")
        return
    searched = f"{done.searched} values were looked for in every column of {done.database}"
    console.line(f"{searched}: {'none is left' if done.clean else 'some are left'}")


def _plain(done: Outcome) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(done)


def _lines(done: Outcome) -> Iterator[tuple[str, str, str]]:
    for step in done.steps:
        if step.rows:
            yield step.table, step.does, f"{step.rows} rows"
    for spot in done.found:
        where = f"{spot.rows} rows" if spot.rows else "statistics"
        yield f"{spot.table}.{spot.column}", "STILL THERE", where
    for rest in done.remains:
        yield rest.where, "remains", rest.why


@new_command(
    "replay",
    ("pgstead pii replay", "after a restore: erase again whoever it brought back"),
    exit_1="it was refused, or something of a person is left",
)
def _replay() -> int:
    """Erase again whom a restore has brought back, and finish what was cut off.

    `pgstead restore --in-place` does it by itself.
    """
    from pgstead.workflows.erasure import replay

    console = Console(invocation_of())
    wired = _wired(console)
    with console.working():
        done = replay(wired.design, wired.ports, personal_ports(wired))
    if console.json:
        console.data([{**_plain(one), "clean": one.clean} for one in done])
    else:
        for one in done:
            _print(console, one)
        console.line(f"{len(done)} persons erased again")
    return ExitStatus.DONE if all(one.clean for one in done) else ExitStatus.FAILED


command = CommandGroup(
    "pii",
    help="Personal data: what is where, and one person's exported, erased or masked.",
    examples=(
        ("pgstead pii report --class personal", "which columns tell something of a person"),
        ("pgstead pii erase --subject ada@example.com --dry-run", "what an erasure would do"),
    ),
)
for _below in (_report, _erase, _replay):
    command.add_command(_below)
