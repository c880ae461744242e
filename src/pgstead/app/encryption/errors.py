"""What can go wrong with an encrypted column. No message holds a key or a plaintext.

    EncryptionError               500
    ├── UnsealedError                  plaintext on its way to an encrypted column: refused
    ├── UnknownPlaceError              the row's key or tenant is not known, so nothing can be bound
    ├── KeyringError                   the keys cannot be read
    │   └── UnknownKeyError            a value needs a key version that is not in the ring
    ├── NotSealedError                 what is stored was not written by this library
    └── TamperedError                  altered, or moved from another row, column, table or tenant

They pass SQLAlchemy unwrapped: its own StatementError would show the parameters.
"""

from __future__ import annotations

from sqlalchemy.exc import DontWrapMixin

from pgstead.app.errors import DatabaseError


class EncryptionError(DatabaseError, DontWrapMixin):
    """An encrypted column could not be written or read."""

    code = "encryption"


class UnsealedError(EncryptionError):
    """A value would have reached an encrypted column as plaintext."""

    code = "encryption-unsealed"


class UnknownPlaceError(EncryptionError):
    """The row that a value belongs to is not known."""

    code = "encryption-place-unknown"


class KeyringError(EncryptionError):
    """The keys cannot be read, or are not what they should be."""

    code = "encryption-keys"


class UnknownKeyError(KeyringError):
    """A value was encrypted with a key that the ring does not have."""

    code = "encryption-key-unknown"

    def __init__(self, version: int, known: tuple[int, ...], label: str) -> None:
        """Name the version that is missing, those that are there, and the column."""
        have = ", ".join(str(v) for v in known) or "none"
        super().__init__(
            f"a value of {label} needs version {version} of the key, and the ring has {have}",
            hint="put the missing version back into the ring; without it the value is lost",
        )
        self.version = version


class NotSealedError(EncryptionError):
    """What is stored in an encrypted column is no encrypted value."""

    code = "encryption-not-sealed"


class TamperedError(EncryptionError):
    """An encrypted value was altered, or belongs to another row, column, table or tenant."""

    code = "encryption-tampered"
