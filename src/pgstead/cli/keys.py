"""`pgstead keys new|status|rotate|retire|copy DB`."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pgstead.cli.command import CommandGroup
from pgstead.cli.command import command as new_command
from pgstead.cli.console import Console
from pgstead.cli.invocation import Invocation, invocation_of
from pgstead.cli.keyring import Ring, engine_of, metadata_of
from pgstead.errors import SteadError, UsageError

if TYPE_CHECKING:
    from pgstead.app.encryption.census import Count
    from pgstead.app.encryption.rotation import Result, Step

KINDS = click.Choice(["values", "indexes"])


class RotationError(SteadError):
    """Values are left that could not be encrypted anew."""

    code = "rotation-incomplete"


# -- new ----------------------------------------------------------------------------------------


@new_command(
    "new",
    ("pgstead keys new shop", "a further version of the keys, or the first ones"),
    ("pgstead keys new shop --kind indexes", "of the key of blind indexes"),
)
@click.argument("database")
@click.option("--kind", type=KINDS, default="values", show_default=True, help="Which key.")
def _new(database: str, kind: str) -> None:
    """Make a further version of a database's keys; the first ones `pgstead up` makes.

    A further version reads at once and writes from `keys rotate` on, when every process has it:
    processes read a key file again by themselves. The file has mode 0600 and belongs to whom the
    application runs as. Keep a copy of it apart from the backups of the database: without it no
    encrypted value can be read, with it every one can.
    """
    from pgstead.app.encryption import keyfile

    invocation = invocation_of()
    console, ring = Console(invocation), Ring.of(database, invocation)
    path = ring.path
    with keyfile.held(path):
        number, first = 1, not path.exists()
        if first:
            text = keyfile.new(ring.kms)
        else:
            before = keyfile.read(path, ring.kms)
            text, number = keyfile.with_version(before, keyfile.KeyKind(kind), ring.kms)
        ring.write(text)
    if invocation.json:
        console.data({"database": database, "kind": kind, "version": number, "file": path})
        return
    console.line(f"version {number} of the key of {kind} is in {path}")
    if first:
        console.hint("keep a copy apart from the database's backups: without it nothing opens")
    else:
        console.hint(f"`pgstead keys rotate {database}` writes with it, and renews what is stored")


# -- status -------------------------------------------------------------------------------------


@new_command(
    "status",
    ("pgstead keys status shop", "versions, and how many values each of them holds"),
    exits=(0, 1, 2),
)
@click.argument("database")
@click.option("--role", default="admin", show_default=True, help="Who counts.")
def _status(database: str, role: str) -> None:
    """Show the versions of a database's keys, and what is encrypted with which.

    No key is shown. Values are counted in the server; none is decrypted.
    """
    from pgstead.app.encryption import keyfile
    from pgstead.app.encryption.census import census
    from pgstead.app.encryption.rotation import encrypted_tables

    invocation = invocation_of()
    console, ring = Console(invocation), Ring.of(database, invocation)
    versions = keyfile.versions(keyfile.read(ring.path, ring.kms))
    tables = encrypted_tables(metadata_of(database, invocation))
    with engine_of(ring.connection, role) as engine, engine.connect() as connection:
        counts = [count for table in tables for count in census(connection, table)]
    known = {v.number for v in versions if v.kind is keyfile.KeyKind.VALUES}
    if invocation.json:
        shown = [{**_plain(c), "known": c.version in known} for c in counts]
        console.data({"file": ring.path, "versions": versions, "columns": shown})
        return
    console.line(f"keys of {database} in {ring.path}")
    rows = [
        (v.kind.value, str(v.number), "writes" if v.writes else "reads", v.created)
        for v in versions
    ]
    console.table(rows, ("key", "version", "does", "made"), indent="  ")
    _show_counts(console, counts, known)


def _plain(count: Count) -> dict[str, object]:
    return {"column": count.label, "version": count.version, "owned": count.owned,
            "values": count.values}  # fmt: skip


def _version_of(count: Count) -> str:
    if count.version is None:
        return "not encrypted"
    return f"version {count.version}{', persons' * count.owned}"


def _show_counts(console: Console, counts: list[Count], known: set[int]) -> None:
    console.line("values")
    rows = [(c.label, _version_of(c), str(c.values)) for c in counts]
    console.table(rows or [("none",)], indent="  ")
    for count in counts:
        if count.version is None:
            console.warn(f"{count.label}: {count.values} values were not written by the library")
        elif count.version not in known:
            console.warn(f"{count.label}: {count.values} values need a key that is missing")


# -- rotate -------------------------------------------------------------------------------------


@new_command(
    "rotate",
    ("pgstead keys new shop", "first a further version of the key"),
    ("pgstead keys rotate shop", "then write with it, and renew what is stored"),
    ("pgstead keys rotate shop --batch 100 --pause 0.1", "gently"),
    exit_1="something failed, or values are left that could not be renewed",
)
@click.argument("database")
@click.option(
    "--batch",
    type=click.IntRange(1, 10_000),
    default=500,
    show_default=True,
    help="Rows of one transaction.",
)
@click.option(
    "--pause",
    type=click.FloatRange(0, 60),
    default=0.0,
    show_default=True,
    help="Seconds between two transactions.",
)
@click.option("--role", default="admin", show_default=True, help="Who renews; must see all rows.")
def _rotate(database: str, batch: int, pause: float, role: str) -> int:
    """Encrypt every value anew with the newest version of the key.

    Applications go on: old and new versions read side by side, and rows that are in use are
    passed over and come later. Stop it and run it again: it continues. It ends with a count that
    finds no older value. A renewed row counts as changed (`updated_at`, ETag).
    """
    from pgstead.app.encryption.rotation import Rotation, encrypted_tables

    invocation = invocation_of()
    console, ring = Console(invocation), Ring.of(database, invocation)
    tables = encrypted_tables(metadata_of(database, invocation))
    if not tables:
        raise UsageError(
            f"the models of {database} have no encrypted column",
            hint="name: Mapped[Encrypted[str]] = encrypted_column(str)",
        )
    activated = activate(ring)
    with engine_of(ring.connection, role) as engine:
        rotation = Rotation(engine, ring.keys, tables, batch, pause, teller(console))
        result = rotation.run()
    return _told(console, invocation, database, result, activated)


def activate(ring: Ring) -> dict[str, int]:
    """Let the newest version of each key write; wait first until every process can read it."""
    from pgstead.app.encryption import keyfile
    from pgstead.app.encryption.rotation import SETTLE

    path = ring.path
    activated: dict[str, int] = {}
    with keyfile.held(path):
        text = keyfile.read(path, ring.kms)
        for kind in keyfile.KeyKind:
            found = [v for v in keyfile.versions(text) if v.kind is kind]
            newest = max(found, key=lambda v: v.number)
            if not newest.writes:
                text = keyfile.writing_with(text, kind, newest.number)
                activated[kind.value] = newest.number
        if activated:
            time.sleep(max(0.0, min(SETTLE, SETTLE - (time.time() - path.stat().st_mtime))))
            ring.write(text)
    return activated


def must_be_settled(*, settled: bool) -> None:
    """Raise RotationError where an open transaction may still bring values of an older version."""
    if not settled:
        raise RotationError(
            "a transaction that has written is still open: it may bring values of an older version",
            hint="`pgstead top` shows the oldest; when it has ended, run this again",
        )


def teller(console: Console) -> Any:
    """Return what tells of each second's progress."""
    told = [0.0]

    def tell(step: Step) -> None:
        if time.monotonic() - told[0] >= 1.0:
            told[0] = time.monotonic()
            console.say(f"  {step.table}: {step.rows} rows renewed, {step.left} left")

    return tell


def _told(
    console: Console,
    invocation: Invocation,
    database: str,
    result: Result,
    activated: dict[str, int],
) -> int:
    if invocation.json:
        console.data(
            {
                "database": database,
                "version": result.version,
                "activated": activated,
                "rows": result.rows,
                "left": result.left,
                "settled": result.settled,
                "failures": result.failures,
                "columns": [_plain(count) for count in result.counts],
            }
        )
        return int(not result.complete)
    for failure in result.failures[:20]:
        console.warn(f"{failure.label} of row {', '.join(failure.key)}: {failure.message}")
    if result.left:
        raise RotationError(
            f"{result.left} rows still hold an older version, {result.rows} were renewed",
            hint="rows that failed are named above; rows in use come with the next run",
        )
    must_be_settled(settled=result.settled)
    console.line(f"{result.rows} rows renewed; 0 values are left with an older version")
    _show_counts(console, list(result.counts), {result.version})
    if activated or result.rows:
        console.hint(
            "backups still need the older version: `pgstead keys retire` when they are gone"
        )
    return 0


# -- retire -------------------------------------------------------------------------------------


@new_command(
    "retire",
    ("pgstead keys retire shop 1", "take version 1 out of the ring"),
)
@click.argument("database")
@click.argument("version", type=click.IntRange(1))
@click.option("--kind", type=KINDS, default="values", show_default=True, help="Which key.")
@click.option("--role", default="admin", show_default=True, help="Who counts.")
def _retire(database: str, version: int, kind: str, role: str) -> None:
    """Take an old version of a key out of the ring, if nothing stored needs it any more.

    The values are counted first. Backups taken before the rotation need the version still: keep
    a copy of the file as long as you keep them.
    """
    from pgstead.app.encryption import keyfile
    from pgstead.app.encryption.census import left, sees_every_row
    from pgstead.app.encryption.rotation import PATIENCE, encrypted_tables, writers_ended

    invocation = invocation_of()
    console, ring = Console(invocation), Ring.of(database, invocation)
    path, tables = ring.path, encrypted_tables(metadata_of(database, invocation))
    with keyfile.held(path):
        text = keyfile.without_version(keyfile.read(path, ring.kms), keyfile.KeyKind(kind), version)
        with engine_of(ring.connection, role) as engine, engine.connect() as connection:
            must_be_settled(settled=writers_ended(engine, PATIENCE))
            hidden = [t.name for t in tables if not sees_every_row(connection, t)]
            older = sum(left(connection, t, ring.keys.ring) for t in tables)
        if hidden or older:
            raise UsageError(
                f"rows of {', '.join(hidden)} are hidden from {role}"
                if hidden
                else f"{older} rows still need an older version",
                hint=f"`pgstead keys rotate {database}` renews them; --role admin sees all",
            )
        ring.write(text)
    if invocation.json:
        console.data({"database": database, "kind": kind, "retired": version})
        return
    console.line(f"version {version} of the key of {kind} is no longer in {path}")


# -- copy ---------------------------------------------------------------------------------------


@new_command(
    "copy",
    ("pgstead keys copy shop /mnt/safe/shop", "what must be kept apart from the backups"),
)
@click.argument("database")
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
def _copy(database: str, directory: Path) -> None:
    """Bring a copy of a database's keys up to date: its ring, and the secrets of its persons.

    What an erasure destroyed here is destroyed there too, so that a copy which is renewed each day
    gives nobody back who was erased a day before. What was lost here stays there. To use it, put
    keys.json and persons/ back into the state, and run `pgstead pii replay`.
    """
    from pgstead.app.encryption import PersonFiles, keyfile

    invocation = invocation_of()
    console, ring = Console(invocation), Ring.of(database, invocation)
    store = ring.persons
    if not isinstance(store, PersonFiles):
        raise UsageError(
            f"secrets of persons are in {store.name}, and cannot be copied from here",
            hint="whoever keeps them copies them",
        )
    keyfile.copy(ring.path, directory / "keys.json", ring.kms)
    done = store.copy_to(PersonFiles(directory / "persons"))
    if invocation.json:
        console.data({"database": database, "directory": directory, **asdict(done)})
        return
    console.line(
        f"{directory} has the ring and the secrets of {done.held} persons:"
        f" {done.made} are new, {done.ended} were destroyed there too"
    )


command = CommandGroup(
    "keys",
    help="Make, show and rotate the keys of encrypted columns.\n\nThey lie in the stead's state, "
    "in a file of mode 0600 per database, or where PREFIX_ENCRYPTION_KEYS_FILE says.",
    examples=(
        ("pgstead keys new shop", "make the first keys, or a further version"),
        ("pgstead keys status shop", "versions, and what is encrypted with which"),
        ("pgstead keys rotate shop", "write with the newest one, and renew what is stored"),
        ("pgstead keys retire shop 1", "take one out that nothing needs any more"),
        ("pgstead keys copy shop /mnt/safe/shop", "what must be kept apart from the backups"),
    ),
)
for each in (_new, _status, _rotate, _retire, _copy):
    command.add_command(each)
