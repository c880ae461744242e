"""`Encrypted[str]`: what a model's attribute holds. It shows itself to nobody unless asked.

user.two_factor_secret = Encrypted("JBSWY3DP")      encrypted when it is flushed
user.two_factor_secret.reveal()                     decrypted now, and not before
"""

from __future__ import annotations

import json
from typing import Any, Generic, NoReturn, TypeVar, cast

from pgstead.app.encryption.errors import EncryptionError, UnknownPlaceError, UnsealedError
from pgstead.app.encryption.place import Place
from pgstead.app.encryption.sources import Keys

T = TypeVar("T")
V = TypeVar("V", str, bytes, dict[str, Any])

KINDS = (str, bytes, dict)


def encode(value: object) -> bytes:
    """Return the bytes of a plaintext."""
    match value:
        case str():
            return value.encode()
        case bytes():
            return value
        case dict():
            return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
        case _:
            raise EncryptionError(
                f"a value of type {type(value).__name__} cannot be encrypted",
                hint="Encrypted takes str, bytes, or a dict that JSON can hold",
            )


def decode(plain: bytes, kind: type[Any]) -> Any:
    """Return the plaintext of bytes, as the column's kind of value."""
    if kind is str:
        return plain.decode()
    return plain if kind is bytes else json.loads(plain)


class Encrypted(Generic[T]):
    """A value of an encrypted column: plaintext until it is flushed, ciphertext from then on.

    Printing, logging, formatting or serializing it gives `Encrypted(...)`. Two are equal only
    when they are the same object: ciphertexts of one plaintext differ, and comparing plaintexts
    would be revealing them.
    """

    __slots__ = ("_clear", "_keys", "_kind", "_place", "_stored", "_trouble")

    def __init__(self, value: T) -> None:
        """Take a plaintext: str, bytes, or a dict that JSON can hold."""
        encode(value)
        self._clear: T | None = value
        self._stored: bytes | None = None
        self._place: Place | None = None
        self._keys: Keys | None = None
        self._kind: type[Any] = type(value)
        self._trouble: EncryptionError | None = None

    @classmethod
    def of_stored(
        cls, stored: bytes, kind: type[Any], trouble: EncryptionError | None = None
    ) -> Encrypted[Any]:
        """Take what a column holds; it opens once its place is known."""
        made = cast("Encrypted[Any]", cls.__new__(cls))
        made._take(stored, kind, trouble)  # noqa: SLF001 - its own
        return made

    def _take(self, stored: bytes, kind: type[Any], trouble: EncryptionError | None) -> None:
        self._clear = None
        self._stored = stored
        self._place = None
        self._keys = None
        self._kind = kind
        self._trouble = trouble

    @property
    def sealed(self) -> bool:
        """Whether only the ciphertext is held."""
        return self._stored is not None

    @property
    def place(self) -> Place | None:
        """Where the ciphertext belongs, as far as it is known."""
        return self._place

    @property
    def stored(self) -> bytes:
        """The ciphertext. Raises UnsealedError while there is none."""
        if self._stored is None:
            raise UnsealedError(
                "a value was not encrypted before it was sent",
                hint="flush it through the session, or use seal_rows() for a bulk insert: "
                "what is stored is bound to its row, so the row's key comes first",
            )
        return self._stored

    def reveal(self) -> T:
        """Return the plaintext.

        Raises UnknownKeyError (a lost key), TamperedError (altered, or moved here from elsewhere),
        NotSealedError (not written by this library), UnknownPlaceError (read without its row).
        """
        if self._stored is None:
            return cast("T", self._clear)
        if self._trouble is not None:
            raise self._trouble
        if self._place is None or self._keys is None:
            raise UnknownPlaceError(
                "an encrypted value was read without its row, or by a session without keys",
                hint="select the whole entity in a session with keys, or call at(place_of(...), "
                "keys) on the value",
            )
        return cast("T", decode(self._keys.open(self._stored, self._place), self._kind))

    def at(self, place: Place, keys: Keys) -> Encrypted[T]:
        """Return this value as the one of a place; a plaintext is sealed for it."""
        if self._stored is None:
            made = Encrypted.of_stored(keys.seal(encode(self._clear), place), self._kind)
        else:
            made = Encrypted.of_stored(self._stored, self._kind, self._trouble)
        return made.bind(place, keys)

    def bind(self, place: Place, keys: Keys) -> Encrypted[T]:
        """Say where a value that was just read belongs. Only the mapper calls it."""
        self._place = place
        self._keys = keys
        return self

    def moved(self, place: Place, keys: Keys) -> Encrypted[T]:
        """Return this value sealed for another place."""
        return Encrypted(self.reveal()).at(place, keys)

    def __repr__(self) -> str:
        return "Encrypted(...)"

    def __format__(self, spec: str) -> str:
        return format(repr(self), spec)

    def __copy__(self) -> Encrypted[T]:
        return self

    def __deepcopy__(self, _memo: object) -> Encrypted[T]:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("an encrypted value is not pickled: pass the row's key, and read it there")
