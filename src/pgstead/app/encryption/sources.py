"""Where keys come from, and the keys of a running process: read again when the source changes.

| source      | setting (prefix `JEEX_`)                | read again                            |
|-------------|-----------------------------------------|---------------------------------------|
| file        | `JEEX_ENCRYPTION_KEYS_FILE`, mode 0600  | within a second of a change           |
| file        | beside the connection file, from `keys` | the same                              |
| environment | `JEEX_ENCRYPTION_KEYS`                  | never: the process has to start again |

A KMS (`JEEX_ENCRYPTION_KMS=package.module:object`) unwraps what a source holds wrapped.
Secrets of persons lie in the directory, or behind the object, that `JEEX_PERSON_KEYS` names; else
beside the connection file.
"""

from __future__ import annotations

import importlib
import os
import stat
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol, cast

from pgstead.app.connection import ConnectionFile
from pgstead.app.encryption.envelope import owned
from pgstead.app.encryption.errors import (
    KeyringError,
    PersonKeyError,
    UnknownKeyError,
    UnknownPlaceError,
)
from pgstead.app.encryption.persons import PersonFiles, PersonKeys
from pgstead.app.encryption.place import Place
from pgstead.app.encryption.remembered import Remembered
from pgstead.app.encryption.ring import KeyRing, Unwrap, parse

LOOK_AGAIN: Final = 1.0  # seconds between two looks at a source
_PERSON_KEYS: Final = ("secret", "make", "destroy")


class Kms(Protocol):
    """What a key management service must do: two methods, and the wrapping key never leaves it."""

    def wrap(self, key: bytes) -> bytes:
        """Return a data key encrypted by the service's own key."""
        ...

    def unwrap(self, wrapped: bytes) -> bytes:
        """Return the data key that `wrap` was given."""
        ...


class Source(Protocol):
    """Where a key document is read from."""

    @property
    def name(self) -> str:
        """What errors call it."""
        ...

    def stamp(self) -> object:
        """Return something that differs when the document has changed. Cheap."""
        ...

    def read(self) -> str:
        """Return the document. Raises KeyringError."""
        ...


class EnvironmentSource:
    """A key document in a variable of the environment."""

    __slots__ = ("_text", "name")

    def __init__(self, variable: str, text: str) -> None:
        """Keep the document, and the variable's name for errors."""
        self.name = variable
        self._text = text

    def stamp(self) -> object:
        """Return always the same: a process's environment is its own."""
        return None

    def read(self) -> str:
        """Return the document."""
        return self._text

    def __repr__(self) -> str:
        return f"EnvironmentSource({self.name!r})"


class FileSource:
    """A key document in a file that nobody else may read."""

    __slots__ = ("path",)

    def __init__(self, path: Path) -> None:
        """Keep the path."""
        self.path = path

    @property
    def name(self) -> str:
        """What errors call it."""
        return str(self.path)

    def stamp(self) -> object:
        """Return what changes with the file."""
        try:
            found = self.path.stat()
        except OSError as error:
            raise _unreadable(self.path, error.strerror) from error
        return found.st_ino, found.st_mtime_ns, found.st_size

    def read(self) -> str:
        """Return the document. Raises KeyringError where others may read or change it too."""
        try:
            with self.path.open(encoding="utf-8") as file:
                mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
                if mode & 0o077:
                    raise KeyringError(
                        f"the key file {self.path} is open to others (mode {mode:04o})",
                        hint=f"chmod 600 {self.path}; whoever read it can read every value",
                    )
                return file.read()
        except OSError as error:
            raise _unreadable(self.path, error.strerror) from error
        except UnicodeDecodeError:  # it would quote the file
            raise _unreadable(self.path, "it is not text in UTF-8") from None

    def __repr__(self) -> str:
        return f"FileSource({str(self.path)!r})"


def _unreadable(path: Path, why: str | None) -> KeyringError:
    return KeyringError(
        f"the key file {path} cannot be read: {why}",
        hint="`pgstead keys new DATABASE` makes one; a lost one comes from its backup",
    )


class Keys:
    """The keys of a process. Safe to share between threads and tasks; its `repr` shows no key.

    A process that gave up the right to read its file goes on with the ring that it has, as it
    does with a passfile.
    """

    __slots__ = ("_clock", "_looked", "_persons", "_ring", "_source", "_stamp", "_unwrap")

    def __init__(
        self,
        source: Source,
        kms: Kms | None = None,
        persons: PersonKeys | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Read the source now, so that missing keys are found at the start."""
        self._source = source
        self._unwrap: Unwrap | None = kms.unwrap if kms is not None else None
        self._persons = Remembered(persons) if persons is not None else None
        self._clock = clock
        self._looked = clock()
        self._stamp = source.stamp()
        self._ring = parse(source.read(), self._unwrap, where=source.name)

    @property
    def name(self) -> str:
        """Where the keys come from."""
        return self._source.name

    @property
    def ring(self) -> KeyRing:
        """The ring as it is now; looked for again once a second at most."""
        if self._clock() - self._looked >= LOOK_AGAIN:
            self.refresh()
        return self._ring

    def refresh(self) -> KeyRing:
        """Look at the source now."""
        self._looked = self._clock()
        try:
            stamp = self._source.stamp()
            if stamp != self._stamp:
                self._ring = parse(self._source.read(), self._unwrap, where=self._source.name)
                self._stamp = stamp
        except KeyringError as error:
            if not isinstance(error.__cause__, PermissionError):
                raise
        return self._ring

    def seal(self, plain: bytes, place: Place, ring: KeyRing | None = None) -> bytes:
        """Encrypt for a place with the version that writes, and its person's secret."""
        secret = self._of_persons(place).make(place.owner) if place.owner is not None else None
        return (ring or self.ring).seal(plain, place, secret)

    def open(self, stored: bytes, place: Place) -> bytes:
        """Decrypt; a version that is not known is looked for in the source once more."""
        secret = self._secret(place) if owned(stored) else None
        try:
            return self._ring.open(stored, place, secret)
        except UnknownKeyError:
            return self.refresh().open(stored, place, secret)

    def _secret(self, place: Place) -> bytes:
        if place.owner is None:
            raise UnknownPlaceError(
                f"a value of {place.label} is one person's, and the column does not say whose",
                hint='encrypted_column(..., owner="user_id"), as when it was written',
            )
        store = self._of_persons(place)
        found = store.secret(place.owner)
        if found is None:
            raise PersonKeyError(place.owner, store.name)
        return found

    def _of_persons(self, place: Place) -> Remembered:
        if self._persons is None:
            raise KeyringError(
                f"values of {place.label} are persons', and there is no place for their secrets",
                hint="PREFIX_PERSON_KEYS names a directory that the application writes to",
            )
        return self._persons

    def __repr__(self) -> str:
        return f"Keys({self._source.name!r}, versions={self._ring.versions})"

    def __reduce__(self) -> Any:
        raise TypeError("keys are not pickled: give the other process its own source")


def beside(connection: ConnectionFile) -> Path:
    """Return where `pgstead keys` keeps the keys of a database: in the stead's state."""
    return connection.path.parent.parent / "keys" / f"{connection.name}.json"


def find(
    prefix: str, environ: Mapping[str, str], connection: ConnectionFile | None = None
) -> Source | None:
    """Return where an application's keys are, or None. The file is not opened."""
    text = environ.get(f"{prefix}ENCRYPTION_KEYS")
    named = environ.get(f"{prefix}ENCRYPTION_KEYS_FILE")
    if text and named:
        raise KeyringError(
            f"{prefix}ENCRYPTION_KEYS and {prefix}ENCRYPTION_KEYS_FILE are both set",
            hint="keep one of them",
        )
    if text:
        return EnvironmentSource(f"{prefix}ENCRYPTION_KEYS", text)
    if named:
        return FileSource(Path(named))
    if connection is not None and beside(connection).exists():
        return FileSource(beside(connection))
    return None


def keys_of(
    prefix: str, environ: Mapping[str, str], connection: ConnectionFile | None = None
) -> Keys:
    """Return the keys of an application. Raises KeyringError where there are none."""
    source = find(prefix, environ, connection)
    if source is None:
        raise KeyringError(
            "there are no keys for encrypted columns",
            hint=f"`pgstead keys new DATABASE`, or set {prefix}ENCRYPTION_KEYS_FILE",
        )
    return Keys(source, kms_of(prefix, environ), persons_of(prefix, environ, connection))


def persons_beside(connection: ConnectionFile) -> Path:
    """Return where secrets of a database's persons lie: in the stead's state."""
    return connection.path.parent.parent / "persons" / connection.name


def persons_of(
    prefix: str, environ: Mapping[str, str], connection: ConnectionFile | None = None
) -> PersonKeys | None:
    """Return where secrets of persons lie: a directory, or an object of yours by import path."""
    named = environ.get(f"{prefix}PERSON_KEYS")
    if not named:
        return PersonFiles(persons_beside(connection)) if connection is not None else None
    if named.startswith("/"):
        return PersonFiles(Path(named))
    hint = "a directory from / on, or package.module:object with secret(), make() and destroy()"
    found = _imported(f"{prefix}PERSON_KEYS", named, _PERSON_KEYS, "store of secrets", hint)
    return cast("PersonKeys", found)


def kms_of(prefix: str, environ: Mapping[str, str]) -> Kms | None:
    """Return the KMS that the environment names by its import path, or None."""
    named = environ.get(f"{prefix}ENCRYPTION_KMS")
    if not named:
        return None
    hint = "package.module:object, with wrap(key: bytes) -> bytes and unwrap(wrapped) -> bytes"
    return cast("Kms", _imported(f"{prefix}ENCRYPTION_KMS", named, ("wrap", "unwrap"), "KMS", hint))


def _imported(variable: str, named: str, methods: Sequence[str], what: str, hint: str) -> Any:
    module, _, name = named.partition(":")
    try:
        found: Any = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise KeyringError(f"{variable} cannot be imported: {named}", hint=hint) from error
    missing = [method for method in methods if not callable(getattr(found, method, None))]
    if missing:
        said = f"{variable} is no {what}: {named} has no {', no '.join(missing)}"
        raise KeyringError(said, hint=hint)
    return found
