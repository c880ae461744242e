"""The form in which a value is stored, and the only form: format 1.

    offset  bytes  what
    0       1      format, 1
    1       1      algorithm, 1 = AES-256-GCM
    2       4      version of the key, big-endian; the highest bit: one person's key of it
    6       12     nonce, random
    18      n+16   ciphertext and its tag

In a `bytea` as it is; in a text column as base64. The header's 6 bytes are 8 characters of base64,
so the version of the key can be read, counted and indexed in SQL in both forms.
The header is part of the associated data: nobody changes it unnoticed.
"""

from __future__ import annotations

import base64
import binascii
import struct
from typing import Final

from pgstead.app.encryption.errors import NotSealedError

FORMAT: Final = 1
AES_256_GCM: Final = 1
HEADER_SIZE: Final = 6
NONCE_SIZE: Final = 12
TAG_SIZE: Final = 16
BODY: Final = HEADER_SIZE + NONCE_SIZE  # where the ciphertext begins
LEAST: Final = BODY + TAG_SIZE
_HEADER: Final = struct.Struct(">BBI")

HIGHEST_VERSION: Final = 2**31 - 1
_PERSONS: Final = 2**31  # set in the version where the key is one person's


def header(version: int, *, owned: bool = False) -> bytes:
    """Return the first bytes of every value of a key version; `owned` under keys of persons."""
    return _HEADER.pack(FORMAT, AES_256_GCM, version | _PERSONS * owned)


def text_header(version: int, *, owned: bool = False) -> str:
    """Return the first characters of every value of a key version in a text column."""
    return base64.b64encode(header(version, owned=owned)).decode("ascii")


def told(start: bytes) -> tuple[int, bool]:
    """Return what a header says: the version, and whether the key is one person's."""
    (number,) = struct.unpack(">I", start[2:HEADER_SIZE])
    return number & ~_PERSONS, bool(number & _PERSONS)


def owned(stored: bytes) -> bool:
    """Say whether a value needs the secret of a person."""
    return len(stored) >= LEAST and told(stored[:HEADER_SIZE])[1]


def version_of(stored: bytes, label: str) -> int:
    """Return the version of a value's key. Raises NotSealedError, which tells no content."""
    if len(stored) < LEAST:
        raise _foreign(label, f"it has {len(stored)} bytes, and the shortest value {LEAST}")
    form, algorithm, _ = _HEADER.unpack_from(stored)
    if form != FORMAT:
        raise _foreign(label, f"its format byte is {form}, and this library knows {FORMAT}")
    if algorithm != AES_256_GCM:
        raise _foreign(label, f"its algorithm is {algorithm}, and this library knows {AES_256_GCM}")
    return told(stored[:HEADER_SIZE])[0]


def to_text(stored: bytes) -> str:
    """Return the form for text columns."""
    return base64.b64encode(stored).decode("ascii")


def from_text(text: str, label: str) -> bytes:
    """Read the form of text columns. Raises NotSealedError."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        # not chained: the original would carry the stored text, which may be plaintext
        raise _foreign(label, "it is not base64") from None


def _foreign(label: str, why: str) -> NotSealedError:
    return NotSealedError(
        f"a value of {label} was not written by this library: {why}",
        hint="it was stored past the model, or by a newer pgstead; `pgstead keys status` counts "
        "such rows",
    )
