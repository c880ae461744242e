"""What a model says about an encrypted column, and the places that follow from it."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Table

from pgstead.app.encryption.errors import EncryptionError, UnknownPlaceError
from pgstead.app.encryption.place import Owner, Place, key_text, key_texts

Normalize = Callable[[str], str]

TENANT: Final = "tenant_id"


def normalized(text: str) -> str:
    """Return the one spelling of an address or a name: trimmed, NFKC, without case."""
    return unicodedata.normalize("NFKC", text.strip()).casefold()


@dataclass(frozen=True, slots=True)
class Declaration:
    """What a model says about one of its encrypted columns."""

    kind: type[Any] = str
    label: str | None = None  # bound instead of `table.column`, so that a rename loses nothing
    tenant: str | None = TENANT  # the column that is bound as well, where the table has it
    blind_index: str | None = None  # the column that equality is looked up in
    normalize: Normalize = normalized
    owner: str | None = None  # the column that names the person whose the value is

    def label_of(self, table: Table, column: str) -> str:
        """Return the label that values of the column are bound to."""
        return self.label or f"{table.fullname}.{column}"

    def tenant_of(self, table: Table) -> str | None:
        """Return the name of the column whose value is bound too, or None."""
        return self.tenant if self.tenant is not None and self.tenant in table.c else None

    def place(self, table: Table, column: str, row: Mapping[str, Any]) -> Place:
        """Return the place of a value in a row, which maps names of columns to values.

        Raises UnknownPlaceError where the key or the tenant is missing.
        """
        label = self.label_of(table, column)
        names = [c.name for c in table.primary_key]
        if not names:
            raise EncryptionError(
                f"{label} is encrypted, and its table has no primary key",
                hint="values are bound to their row: give the table a key",
            )
        missing = [name for name in names if row.get(name) is None]
        if missing:
            raise UnknownPlaceError(
                f"{label}: the key of the row ({', '.join(missing)}) is not known yet",
                hint="give the row its key before it is flushed; uuid7() makes one",
            )
        return Place(
            label,
            key_texts([row[name] for name in names], label),
            self._tenant_text(table, label, row),
            self._owner(table, label, row),
        )

    def parts(self, table: Table) -> tuple[str, ...]:
        """Return the columns of a row that make the place of its value."""
        more = (self.tenant_of(table), self.owner)
        return tuple(dict.fromkeys([*(c.name for c in table.primary_key), *filter(None, more)]))

    def _owner(self, table: Table, label: str, row: Mapping[str, Any]) -> Owner | None:
        if self.owner is None:
            return None
        value = row.get(self.owner)
        if value is None:
            raise UnknownPlaceError(
                f"{label}: whose value it is ({self.owner}) is not known",
                hint=f"set {self.owner} on the object, or load it together with the value",
            )
        return Owner(self.persons(table, label), key_text(value, label))

    def persons(self, table: Table, label: str) -> str:
        """Return the table of persons that the owner's column leads to, with its schema."""
        if self.owner is None or self.owner not in table.c:
            raise EncryptionError(
                f"{label} is owned by {self.owner}, which {table.fullname} has not",
                hint='owner="..." names a column of the same table',
            )
        column = table.c[self.owner]
        found = next((key.column for key in column.foreign_keys), column)
        if [*found.table.primary_key] != [found]:
            raise EncryptionError(
                f"{label} is owned by {self.owner}, which is no key of a person",
                hint="a foreign key to a primary key of one column, or the table's own",
            )
        assert isinstance(found.table, Table)
        return f"{found.table.schema or 'public'}.{found.table.name}"

    def _tenant_text(self, table: Table, label: str, row: Mapping[str, Any]) -> str | None:
        name = self.tenant_of(table)
        if name is None:
            return None
        value = row.get(name)
        if value is None:
            raise UnknownPlaceError(
                f"{label}: the tenant of the row ({name}) is not known",
                hint=f"set {name} on the object, or load it together with the value",
            )
        return key_text(value, label)
