"""Values for columns of any table: by what a CHECK lists, by name, by type."""

from __future__ import annotations

import re

from sqlalchemy import Column, Table
from sqlalchemy.dialects.postgresql import ARRAY, INET, JSONB, TSVECTOR
from sqlalchemy.types import Boolean, DateTime, Integer, LargeBinary, String, Uuid

_NAMED = (
    ("email", "p{}@example.com"),
    ("slug", "s-{}"),
    ("password_hash", "$argon2id${}"),
    ("_encrypted", "AQEA" + "A" * 60),
    ("url", "https://example.org/{}"),
)


def invent(table: Table, column: Column[object], number: int) -> str:
    """Return a value, as the server would write it; another number gives another value.

    A column whose CHECK is beyond this is told by the insert that fails: name it in `_NAMED`.
    """
    listed = _listed(table, column.name)
    if listed:
        return listed[number % len(listed)]
    named = next((text for word, text in _NAMED if word in column.name), None)
    if named is not None:
        return named.format(number)
    kind = column.type
    for of, value in (
        (String, f"t{number}"),
        (Uuid, f"0190a0b0-0000-7000-8000-{number:012x}"),
        (LargeBinary, f"\\x{number:064x}"),
        (INET, f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}/32"),
        (
            DateTime,
            f"2030-01-01 {number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}+00",
        ),
        (Boolean, "false" if number % 5 == 0 else "true"),
        (JSONB, "{}"),
        (ARRAY, "{}"),
        (Integer, str(number)),
    ):
        if isinstance(kind, of):
            return value
    raise AssertionError(f"{table.name}.{column.name}: no value can be made up for {kind!r}")


def needed(table: Table) -> list[Column[object]]:
    """Return the columns that an INSERT has to name."""
    return [
        column
        for column in table.columns
        if not column.nullable
        and column.server_default is None
        and column.computed is None
        and not isinstance(column.type, TSVECTOR)
    ]


def _listed(table: Table, column: str) -> list[str]:
    for constraint in table.constraints:
        text = str(getattr(constraint, "sqltext", ""))
        found = re.fullmatch(rf"{re.escape(column)} IN \((.*)\)", text)
        if found:
            return re.findall(r"'([^']*)'", found[1])
    return []
