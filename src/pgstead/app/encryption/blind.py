"""The blind index: equality look-up in an encrypted column, and nothing more.

HMAC-SHA-256 of the normalized text under a key of its own, with the column and the tenant; 16
bytes of it behind the version of the key. What it gives away to a reader of the table: which rows
of one tenant hold the same text. Nothing can be learned across tenants or columns.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, ColumnElement, Table
from sqlalchemy.orm import InstrumentedAttribute, QueryableAttribute

from pgstead.app.encryption.column import EncryptedType
from pgstead.app.encryption.declaration import Declaration
from pgstead.app.encryption.errors import EncryptionError
from pgstead.app.encryption.place import key_text
from pgstead.app.encryption.ring import KeyRing
from pgstead.app.encryption.sources import Keys


def blind_match(
    column: InstrumentedAttribute[Any] | Column[Any],
    value: str,
    keys: Keys,
    *,
    tenant: object = None,
) -> ColumnElement[bool]:
    """Return the condition that a row's encrypted text is this one, in any spelling of it.

    All known versions of the index key are asked for, so that rows are found while it rotates.
    `tenant` is the row's tenant, where the table has one.
    """
    found = _column(column)
    declaration = _declaration(found)
    label = declaration.label_of(found.table, found.name)
    if (declaration.tenant_of(found.table) is None) != (tenant is None):
        raise EncryptionError(
            f"a look-up in {label} has to name the tenant"
            if tenant is None
            else f"{label} has no tenant to look up in",
            hint="blind_match(Model.column, value, keys, tenant=...) where the table has a tenant",
        )
    text = declaration.normalize(value)
    where = None if tenant is None else key_text(tenant, label)
    ring = keys.ring
    wanted = [ring.index(text, label, where, version) for version in sorted(ring.indexes)]
    return _index_column(column, found, declaration).in_(wanted)


def index_of(
    declaration: Declaration, label: str, tenant: str | None, plain: object, ring: KeyRing
) -> bytes:
    """Return what the blind index of a row holds, under the version that writes."""
    if not isinstance(plain, str):
        raise EncryptionError(
            f"{label} has a blind index, and its value is no text",
            hint="blind indexes are for encrypted_column(str, ...)",
        )
    return ring.index(declaration.normalize(plain), label, tenant, ring.indexes_write)


def _column(column: InstrumentedAttribute[Any] | Column[Any]) -> Column[Any]:
    if isinstance(column, Column):
        return column
    return column.property.columns[0]


def _declaration(column: Column[Any]) -> Declaration:
    if not isinstance(column.type, EncryptedType):
        raise EncryptionError(f"{column} is no encrypted column", hint="compare it as it is")
    declaration = column.type.declaration
    if declaration.blind_index is None:
        raise EncryptionError(
            f"{column} has no blind index",
            hint='encrypted_column(str, blind_index="email_index") beside '
            "email_index: Mapped[bytes | None] = blind_index_column(index=True)",
        )
    return declaration


def _index_column(
    given: InstrumentedAttribute[Any] | Column[Any], column: Column[Any], declaration: Declaration
) -> ColumnElement[Any]:
    assert isinstance(column.table, Table)
    assert declaration.blind_index is not None
    index = column.table.c[declaration.blind_index]
    if isinstance(given, QueryableAttribute):
        parent: Any = given.parent  # a mapper, or what stands for an alias of it
        return getattr(parent.entity, parent.mapper.get_property_by_column(index).key)
    return index
