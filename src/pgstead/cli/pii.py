"""`pgstead pii report|export|erase|replay|mask`."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pgstead.cli.command import CommandGroup
from pgstead.cli.command import command as new_command
from pgstead.cli.console import Console, plain
from pgstead.cli.invocation import invocation_of
from pgstead.errors import ExitStatus, UsageError

if TYPE_CHECKING:
    from pgstead.cli.wiring import Wired
    from pgstead.model.personal import Inventory
    from pgstead.ports.personal import PersonalPorts
    from pgstead.workflows.erasure import Outcome
    from pgstead.workflows.masking import Copied

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
    from pgstead.cli.person_keys import secrets_of
    from pgstead.host.erasures import ErasureFile, files_with
    from pgstead.ports.personal import PersonalPorts

    layout = wired.design.layout
    places = (layout.server_log, layout.pooler, layout.logs, layout.audit, layout.journal)
    return PersonalPorts(
        ErasureFile(Path(layout.erasures)),
        lambda values: files_with(values, [Path(place) for place in places]),
        lambda database: secrets_of(wired.design, database),
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


def _plain(done: Outcome | Copied) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(done)


def _lines(done: Outcome) -> Iterator[tuple[str, str, str]]:
    for step in done.steps:
        if step.rows:
            yield step.table, step.does, f"{step.rows} rows"
    for spot in done.found:
        where = f"{spot.rows} rows" if spot.rows else "statistics"
        yield f"{spot.table}.{spot.column}", "STILL THERE", where
    for column in done.sealed:
        if column.theirs:
            why = f"{column.theirs} values, in every backup: their secret is destroyed"
            yield column.column, "unreadable", why
        if column.shared:
            why = f"{column.shared} values open by the keys of the database alone"
            yield column.column, "READABLE in backups", why
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


# -- export -------------------------------------------------------------------------------------


@new_command(
    "export",
    ("pgstead pii export --subject ada@example.com --out ada.json", "all of one person"),
)
@_DATABASE
@_SUBJECT
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="A new file, 0600.")
def _export(name: str, who: str, out: Path | None) -> None:
    """Write all of one person as JSON: rows, what names them elsewhere, how it changed.

    Passwords, tokens and encrypted values are hidden.
    """
    from pgstead.workflows.person_export import export

    console = Console(invocation_of())
    wired = _wired(console)
    with console.working():
        told = export(wired.design, wired.ports, _chosen(wired, name), who)
    if out is None:
        console.data(told)
        return
    _write(out, json.dumps(plain(told), ensure_ascii=False, indent=2))
    rows = sum(len(found) for found in told["rows"].values())
    if console.json:
        console.data({"path": out, "rows": rows})
        return
    console.line(f"{rows} rows of {len(told['rows'])} tables in {out}")


def _write(path: Path, text: str) -> None:
    """Write a new file of mode 0600; nothing of it is left where it could not be written whole."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise UsageError(
            f"{path} cannot be made: {error.strerror}", hint="name a file that is not there yet"
        ) from error
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(f"{text}\n")
    except OSError as error:
        path.unlink(missing_ok=True)
        raise UsageError(
            f"{path} cannot be written: {error.strerror}", hint="name a place that has room"
        ) from error


# -- mask ---------------------------------------------------------------------------------------


@new_command(
    "mask",
    ("pgstead pii mask --to shop_test", "a masked copy on this server"),
    ("pgstead pii mask --to shop_test.dump", "as a dump, for pg_restore"),
    exit_1="it could not be made, or values of persons are in columns that say there are none",
)
@_DATABASE
@click.option(
    "--to", "target", required=True, metavar="DB|FILE", help="A new name; a file ends in .dump."
)
def _mask(name: str, target: str) -> int:
    """Copy a database, with pseudonyms for what tells something of a person.

    Equal values stay equal and different ones different; keys, foreign keys, uniqueness and
    frequencies are those of the original. The pseudonyms depend on a key in the state directory,
    so that the next copy has the same. Nobody may connect to the copy before it is masked.
    """
    from pgstead.host.masking import DatabaseCopies, key_at
    from pgstead.ports.personal import MaskingPorts
    from pgstead.workflows.masking import mask

    console = Console(invocation_of())
    wired = _wired(console)
    database = _chosen(wired, name)
    to_file = target.endswith(".dump") or "/" in target
    masking = MaskingPorts(
        DatabaseCopies(wired.design), lambda: key_at(Path(wired.design.layout.mask_key))
    )
    with console.working():
        done = mask(
            wired.design, wired.ports, masking, database,
            into="" if to_file else target, file=Path(target).absolute() if to_file else None,
        )  # fmt: skip
    if console.json:
        console.data(_plain(done))
    else:
        rows = [(f"{m.table}.{m.column}", m.kind, f"{m.values} values") for m in done.columns]
        console.table(rows, ("COLUMN", "KIND", ""))
        for spot in done.found:
            console.warn(f"{spot.table}.{spot.column} holds values of persons in {spot.rows} rows")
        searched = f"{done.searched} values of the original were looked for in it"
        told = "some are there" if done.found else "none is there"
        console.line(f"{done.database or done.file}: {searched}, {told}")
    return ExitStatus.FAILED if done.found else ExitStatus.DONE


command = CommandGroup(
    "pii",
    help="Show, export, erase and mask what tells something of a person.",
    examples=(
        ("pgstead pii report --class personal", "which columns tell something of a person"),
        ("pgstead pii erase --subject ada@example.com --dry-run", "what an erasure would do"),
    ),
)
for _below in (_report, _export, _erase, _replay, _mask):
    command.add_command(_below)
