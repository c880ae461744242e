"""What can go wrong with an encrypted column. No message holds a key or a plaintext.

    EncryptionError               500
    ├── UnsealedError                  plaintext on its way to an encrypted column: refused
    ├── UnknownPlaceError              the row's key or tenant is not known, so nothing can be bound
    ├── KeyringError                   the keys cannot be read
    │   ├── UnknownKeyError            a value needs a key version that is not in the ring
    │   └── PersonKeyError             a value needs the secret of a person, which is lost
    ├── ErasedError                    the person was erased, and their secret destroyed
    ├── NotSealedError                 what is stored was not written by this library
    └── TamperedError                  altered, or moved from another row, column, table or tenant

They pass SQLAlchemy unwrapped: its own StatementError would show the parameters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy.exc import DontWrapMixin

from pgstead.app.errors import DatabaseError

if TYPE_CHECKING:
    from pgstead.app.encryption.place import Owner


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


class PersonKeyError(KeyringError):
    """The secret of a person is not where it should be."""

    code = "encryption-person-key"

    def __init__(self, owner: Owner, where: str) -> None:
        """Name the table of persons and the place, and nobody."""
        super().__init__(
            f"a value needs the secret of a row of {owner.table}, and {where} has none",
            hint="put the copy of the directory back; without it the value is lost",
        )


class ErasedError(EncryptionError):
    """A value's person was erased, and their secret destroyed."""

    code = "encryption-erased"

    def __init__(self, table: str, moment: str) -> None:
        """Name the table of persons and the moment, and nobody."""
        super().__init__(
            f"the secret of a row of {table} was destroyed when they were erased, {moment}",
            hint="nothing opens their values any more; a new person needs a new key",
        )


class NotSealedError(EncryptionError):
    """What is stored in an encrypted column is no encrypted value."""

    code = "encryption-not-sealed"


class TamperedError(EncryptionError):
    """An encrypted value was altered, or belongs to another row, column, table or tenant."""

    code = "encryption-tampered"
