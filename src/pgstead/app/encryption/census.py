"""Counting: how many values of each version of a key a table holds. Nothing is decrypted."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    Table,
    and_,
    case,
    func,
    literal_column,
    or_,
    select,
    text,
)
from sqlalchemy import type_coerce as seen_as
from sqlalchemy.sql.elements import ColumnElement

from pgstead.app.encryption.column import EncryptedType, encrypted_columns, sealed_condition
from pgstead.app.encryption.envelope import HEADER_SIZE, header, text_header, told
from pgstead.app.encryption.ring import KeyRing

_INDEX_VERSION = 4  # bytes of a blind index

# A permissive policy of this role that shows everything, and no restrictive one that hides.
_SEES_EVERYTHING = """
SELECT NOT row_security_active(c.oid) OR (
  coalesce(bool_or(p.polpermissive AND pg_get_expr(p.polqual, p.polrelid) = 'true'), false)
  AND NOT coalesce(bool_or(NOT p.polpermissive
                           AND pg_get_expr(p.polqual, p.polrelid) IS DISTINCT FROM 'true'), false))
FROM pg_catalog.pg_class AS c
LEFT JOIN pg_catalog.pg_policy AS p ON p.polrelid = c.oid AND p.polcmd IN ('*', 'r')
  AND (0 = ANY (p.polroles) OR EXISTS (
    SELECT FROM unnest(p.polroles) AS r (oid) WHERE r.oid <> 0 AND pg_has_role(r.oid, 'USAGE')))
WHERE c.oid = CAST(:name AS regclass)
GROUP BY c.oid
"""


@dataclass(frozen=True, slots=True)
class Count:
    """How many values of a column have one version of a key."""

    label: str
    version: int | None  # None: not written by this library
    values: int
    owned: bool = False  # under keys of persons


def census(connection: Connection, table: Table) -> list[Count]:
    """Count the values of a table's encrypted columns by the version of their key."""
    found: list[Count] = []
    for name, kind in encrypted_columns(table):
        start = _start(connection, table.c[name])
        query = (
            select(start, func.count()).where(_held(table.c[name])).group_by(start).order_by(start)
        )
        label = kind.declaration.label_of(table, name)
        rows = connection.execute(query).all()
        found += [_count(label, seen, number) for seen, number in rows]
    return found


def left(connection: Connection, table: Table, ring: KeyRing) -> int:
    """Count the rows that hold something of another version than the one that writes."""
    query = select(func.count()).select_from(table).where(stale(table, ring))
    return int(connection.execute(query).scalar_one())


def stale(table: Table, ring: KeyRing) -> ColumnElement[bool]:
    """Return the condition that a row has something to renew."""
    conditions: list[ColumnElement[bool]] = []
    for name, kind in encrypted_columns(table):
        conditions.append(and_(_held(table.c[name]), _of_another(table.c[name], kind, ring)))
        if kind.declaration.blind_index is not None:
            index = table.c[kind.declaration.blind_index]
            version = ring.indexes_write.to_bytes(_INDEX_VERSION, "big")
            old = func.substring(index, 1, _INDEX_VERSION).is_distinct_from(version)
            conditions.append(and_(_held(table.c[name]), old))
    return or_(*conditions)


def sees_every_row(connection: Connection, table: Table) -> bool:
    """Say whether row-level security shows the whole table to whoever is connected."""
    name = connection.dialect.identifier_preparer.format_table(table)
    return bool(connection.execute(text(_SEES_EVERYTHING), {"name": name}).scalar_one())


def _held(column: Column[Any]) -> ColumnElement[bool]:
    return _raw(column).is_not(None)


def _of_another(column: Column[Any], kind: EncryptedType, ring: KeyRing) -> ColumnElement[bool]:
    owned = kind.declaration.owner is not None
    if kind.textual:
        return func.left(_raw(column), 8) != text_header(ring.writes, owned=owned)
    return func.substring(_raw(column), 1, HEADER_SIZE) != header(ring.writes, owned=owned)


def _raw(column: Column[Any]) -> ColumnElement[Any]:
    """Return the column as the database has it: its own type lets nobody compare."""
    assert isinstance(column.type, EncryptedType)
    return seen_as(column, column.type.stored)


def _start(connection: Connection, column: Column[Any]) -> ColumnElement[Any]:
    """Return the header, and NULL for what has none: no byte of a plaintext leaves the server."""
    assert isinstance(column.type, EncryptedType)
    name = connection.dialect.identifier_preparer.format_column(column)
    sealed: ColumnElement[Any] = literal_column(sealed_condition(name, textual=column.type.textual))
    raw = _raw(column)
    first = func.left(raw, 8) if column.type.textual else func.substring(raw, 1, HEADER_SIZE)
    return case((sealed, first))


def _count(label: str, start: Any, values: int) -> Count:
    if start is None:
        return Count(label, None, values)
    version, owned = told(base64.b64decode(start) if isinstance(start, str) else bytes(start))
    return Count(label, version, values, owned)
