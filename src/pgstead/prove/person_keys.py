"""Promises about secrets of persons: needed by their values, gone with them, kept apart."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from psycopg import sql

from pgstead.model.address import Capability
from pgstead.model.erasure import Erasure
from pgstead.prove import persons, sealed
from pgstead.prove.finding import CannotTryError, Finding, answer, timed
from pgstead.prove.promise import promise
from pgstead.prove.sealed import Sealed
from pgstead.prove.witness import Witness

ENCRYPTION = Capability.ENCRYPTION
_FILES = 2000  # of the store, that are looked at
_SHOWN = 8


@promise(
    "PII-005",
    "an encrypted value of a person needs a secret that is theirs alone",
    requirement="ENC-6",
    capability=ENCRYPTION,
    needs=("schema",),
)
def values_are_their_own(w: Witness) -> Iterator[Finding]:
    columns = [c for c in sealed.columns(w) if c.owner or _personal(w, c)]
    if not columns:
        raise CannotTryError("no encrypted column is said to hold something of a person",
                             could_try=False)  # fmt: skip
    for column in columns:
        keys = sealed.keys_of(w, column.database).without_persons()
        with timed() as watch:
            count, shared = w.look(_headers(column), database=column.database).value[0]
            # by the ring alone, whatever the header says
            plain = sum(value.opened(keys) is not None for value in sealed.values(w, column))
        text = f"{column}: {count} values, {shared} under the keys of the database alone"
        told = answer(f"the headers of {column}", text, shared, watch)
        yield told.shows(
            holds=column.owner is not None and not shared and not plain,
            expected="none that the keys of the database open without a person's secret",
            said=text if column.owner else f"{column}: it does not say whose its values are",
            hint='encrypted_column(..., owner="user_id"), then `pgstead keys rotate`',
        )


def _headers(column: Sealed) -> sql.Composed:
    """Ask for how many values there are, and how many do not say that a secret is needed."""
    return sql.SQL(
        "SELECT count({c}), count({c}) FILTER (WHERE coalesce(get_byte({h}, 2) < 128, true))"
        " FROM {t}"
    ).format(h=column.header, c=sql.Identifier(column.column), t=column.relation)


def _personal(w: Witness, column: Sealed) -> bool:
    """Say whether the database's comment says that a column tells something of a person."""
    held = w.once(f"classes of {column.database}", lambda: persons.held(w, column.database))
    name = (column.schema or "public", column.table)
    table = next((t for t in held.tables if t.full == name), None)
    return table is not None and any(c.name == column.column for c in table.personal)


@promise(
    "PII-006",
    "nobody who was erased has a secret left that would open their values in a backup",
    requirement="ENC-6",
    capability=ENCRYPTION,
)
def no_secret_is_back(w: Witness) -> Iterator[Finding]:
    mine = [e for e in persons.erased(w) if e.finished]
    if not mine:
        raise CannotTryError("nobody was erased here", could_try=False)
    with timed() as watch:
        back = [e.id for e in mine if any(_held(w, e))]
    place = w.design.layout.persons
    found = answer(f"the files of {len(mine)} erased persons in {place}", f"{len(back)} held", back,
                   watch)  # fmt: skip
    yield found.shows(
        holds=not back,
        expected="no file, or the word that it is destroyed",
        said=f"{len(back)} are back: {', '.join(back[:_SHOWN])}" if back else found.text,
        hint="a copy of the directory was put back: `pgstead pii replay` destroys them again",
    )


def _held(w: Witness, erasure: Erasure) -> Iterator[bool]:
    store = sealed.store_of(w, erasure.database)
    if not store.is_absolute():
        raise CannotTryError(f"secrets of persons are kept by {store}", could_try=False)
    for (schema, table), key in ((erasure.table, erasure.key), *erasure.others):
        for value in key.values():
            owner = value.removeprefix("\\x")
            yield sealed.secret_in(store, f"{schema}.{table}", owner) is not None


@promise(
    "PII-007",
    "secrets of persons lie outside of the data directory and of the backups, and one user alone"
    " reads them",
    requirement="ENC-6",
    capability=ENCRYPTION,
)
def secrets_are_kept_apart(w: Witness) -> Iterator[Finding]:
    place = Path(w.design.layout.persons)
    if not place.is_dir():
        raise CannotTryError(f"there is no {place}: `pgstead up` makes it", could_try=False)
    kept = [Path(w.setting("data_directory").value)]
    if w.design.backup is not None:
        kept += [Path(w.design.backup.repository)]
    with timed() as watch:
        real = place.resolve()
        inside = [str(k) for k in kept if real.is_relative_to(k.resolve())]
        modes = {path: path.stat().st_mode & 0o777 for path in _some(place)}
        opened = [f"{path.name} {mode:04o}" for path, mode in modes.items() if mode & 0o077]
    told = answer(f"ls -lR {place}", f"{len(modes)} of mode 0600 and 0700", opened, watch)
    yield told.shows(
        holds=not opened and not inside,
        expected="modes without anything for others, in neither of " + ", ".join(map(str, kept)),
        said=", ".join([*inside, *opened][:_SHOWN]) or told.text,
        hint=f"chmod -R go= {place}; whoever read it and the ring reads what was erased since",
    )


def _some(place: Path) -> Iterator[Path]:
    yield place
    for number, path in enumerate(place.rglob("*")):
        if number == _FILES:
            return
        yield path


PROMISES = (values_are_their_own, no_secret_is_back, secrets_are_kept_apart)
