"""Where a value belongs: its column, its row, its tenant. Sealed in one place, opened there only.

The associated data of a value is, byte for byte (anybody can check it with any AES-GCM):

    "pgstead-column-1"  header of the envelope (6 bytes)
    label  number of key parts  key part ...  tenant

each text as its length in UTF-8 (4 bytes, big-endian) and itself; the number of key parts as 4
bytes; the tenant as a text after a byte 1, or a byte 0 where the table has none.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from pgstead.app.encryption.errors import UnknownPlaceError

_DOMAIN: Final = b"pgstead-column-1"


@dataclass(frozen=True, slots=True)
class Owner:
    """The person whose a value is: a row of a table of persons."""

    table: str  # with its schema: `public.users`
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Place:
    """One column of one row."""

    label: str  # `table.column`, with the schema before it where the model names one
    key: tuple[str, ...]  # the row's primary key as text
    tenant: str | None = None
    # not of the associated data: the key itself is theirs
    owner: Owner | None = None

    def associated_data(self, header: bytes) -> bytes:
        """Return what the authentication tag covers besides the ciphertext."""
        bound = _prefix(header, self.label, len(self.key))
        for part in self.key:
            bound += _text(part)
        return bound + (b"\0" if self.tenant is None else b"\1" + _text(self.tenant))


def _text(text: str) -> bytes:
    encoded = text.encode()
    return len(encoded).to_bytes(4, "big") + encoded


@lru_cache(maxsize=1024)
def _prefix(header: bytes, label: str, parts: int) -> bytes:
    """Return what all values of a column have in common; worth keeping (bench/encryption.py)."""
    return _DOMAIN + header + _text(label) + parts.to_bytes(4, "big")


def key_text(value: object, label: str) -> str:
    """Return one part of a row's key (or its tenant) in the one form that is bound.

    A uuid is bound in lower case with hyphens, whichever type the driver gives it as.
    """
    match value:
        case uuid.UUID() | str():
            return str(value)
        case bool():
            pass
        case int():
            return str(value)
        case bytes():
            return value.hex()
        case dt.datetime() if value.tzinfo is not None:
            return value.astimezone(dt.UTC).isoformat()
        case dt.date() if not isinstance(value, dt.datetime):
            return value.isoformat()
        case _:
            pass
    raise UnknownPlaceError(
        f"{label}: a key of type {type(value).__name__} has no fixed form to bind a value to",
        hint="encrypted columns need a primary key of uuid, text, integer, date or bytea",
    )


def key_texts(values: Sequence[object], label: str) -> tuple[str, ...]:
    """Return a whole primary key in the form that is bound."""
    return tuple(key_text(value, label) for value in values)
