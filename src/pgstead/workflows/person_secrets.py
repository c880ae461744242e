"""What an erasure does to encrypted values: the secret that they need is destroyed.

Where a value was sealed under a person's key (docs/adr/0044) no backup, dump or copy of it opens
from then on, whatever remains of the ring. One that was sealed by the keys of the database alone
still opens, and is told.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from psycopg import sql

from pgstead.model.erasure import Erasure, Named, took
from pgstead.model.personal import Column, Inventory, Name, Table
from pgstead.ports.personal import PersonalPorts
from pgstead.workflows.person import Rows

# The highest bit of a key's version (docs/reference/encrypted-values.md); NULL for no such value.
_TEXT = (
    "CASE WHEN {0} ~ '^AQ[E-H][A-Za-z0-9+/]{{5}}' THEN"
    " get_byte(decode(left({0}, 8), 'base64'), 2) >= 128 END"
)
_BYTES = "CASE WHEN octet_length({0}) >= 34 THEN get_byte({0}, 2) >= 128 END"


@dataclass(frozen=True, slots=True)
class Sealed:
    """Encrypted values of a person in one column, by what opens them."""

    column: str
    theirs: int  # the person's secret is needed
    shared: int  # the keys of the database are enough


def sealed_values(rows: Rows) -> Iterator[Sealed]:
    """Count the encrypted values in rows of a person. To be asked before they go."""
    for table, keys in rows.told():
        for column in table.personal:
            if column.kind == "sealed":
                yield _counted(rows, table, column, keys)


def _counted(rows: Rows, table: Table, column: Column, keys: sql.Identifier) -> Sealed:
    name = sql.Identifier("t", column.name)
    form = sql.SQL(_BYTES if column.type == "bytea" else _TEXT).format(name)
    asked = sql.SQL(
        "SELECT count(*) FILTER (WHERE {0}) AS theirs, count({1}) AS all FROM {2} AS t WHERE {3}"
    ).format(form, name, sql.Identifier(*table.full), rows.among(table.full, keys))
    (row,) = rows.connection.execute(asked).fetchall()
    return Sealed(f"{table.shown}.{column.name}", row["theirs"], row["all"] - row["theirs"])


def with_others(personal: PersonalPorts, rows: Rows, erasure: Erasure) -> Erasure:
    """Note whose rows go with the erased person's, while these can still be asked."""
    found = _others(rows)
    if not found:
        return erasure
    noted = replace(erasure, others=found)
    personal.erasures.append(took(noted))
    return noted


def _others(rows: Rows) -> tuple[Named, ...]:
    """Return the persons of other tables whose rows go."""
    found: list[Named] = []
    for table, keys in rows.told():
        if table.subject is None or table.full == rows.reach.root.full or len(table.key) != 1:
            continue
        asked = sql.SQL("SELECT {}::text AS key FROM {}").format(sql.Identifier(*table.key), keys)
        told = (row["key"] for row in rows.connection.execute(asked).fetchall())
        found += [(table.full, {table.key[0]: key}) for key in told]
    return tuple(found)


def destroy(personal: PersonalPorts, held: Inventory, erasure: Erasure) -> int:
    """Destroy the secrets of all persons of an erasure; return how many were there."""
    store = personal.secrets(erasure.database)
    named = [(erasure.table, erasure.key), *erasure.others]
    return sum(store.destroy(f"{name[0]}.{name[1]}", key) for name, key in _keys(held, named))


def _keys(held: Inventory, named: Iterable[Named]) -> Iterator[tuple[Name, str]]:
    """Yield the table and key of each, as values are bound to them (`app.encryption.place`)."""
    for name, key in named:
        if len(key) == 1:
            ((column, value),) = key.items()
            yield name, value.removeprefix("\\x") if _binary(held, name, column) else value


def _binary(held: Inventory, name: Name, column: str) -> bool:
    tables: Mapping[Name, Table] = {t.full: t for t in held.tables}
    return name in tables and tables[name].column(column).type == "bytea"
