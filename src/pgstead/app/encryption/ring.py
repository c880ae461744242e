"""The key ring: versions of keys. One version writes, all of them read."""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, cast

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pgstead.app.encryption.envelope import (
    BODY,
    HEADER_SIZE,
    HIGHEST_VERSION,
    NONCE_SIZE,
    header,
    version_of,
)
from pgstead.app.encryption.errors import KeyringError, TamperedError, UnknownKeyError
from pgstead.app.encryption.place import Place

KEY_SIZE: Final = 32  # bytes: AES-256, and HMAC-SHA-256
FORM: Final = "pgstead-keys-1"
DIGEST: Final = "sha256"
PERSON: Final = b"pgstead-person-1"

Unwrap = Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class KeyRing:
    """Keys by version. No `repr` shows one, and none is kept in a form that could be printed."""

    values: Mapping[int, AESGCM] = field(repr=False)
    writes: int  # the version that new values are encrypted with
    indexes: Mapping[int, hmac.HMAC] = field(repr=False)
    indexes_write: int
    # by version too: what makes the keys of persons, of the same key and their secret
    persons: Mapping[int, hmac.HMAC] = field(repr=False)

    @property
    def versions(self) -> tuple[int, ...]:
        """The versions of the value key, sorted."""
        return tuple(sorted(self.values))

    def seal(self, plain: bytes, place: Place, secret: bytes | None = None) -> bytes:
        """Encrypt for a place with the version that writes, and with a person's secret.

        The nonce is random: at most 2**32 values per version (NIST SP 800-38D, 8.3).
        """
        start, nonce = header(self.writes, owned=secret is not None), os.urandom(NONCE_SIZE)
        body = self._cipher(self.writes, secret).encrypt(nonce, plain, place.associated_data(start))
        return start + nonce + body

    def open(self, stored: bytes, place: Place, secret: bytes | None = None) -> bytes:
        """Decrypt. Raises NotSealedError, UnknownKeyError or TamperedError, never gives garbage."""
        version = version_of(stored, place.label)
        if version not in self.values:
            raise UnknownKeyError(version, self.versions, place.label)
        cipher = self._cipher(version, secret)
        bound = place.associated_data(stored[:HEADER_SIZE])
        try:
            return cipher.decrypt(stored[HEADER_SIZE:BODY], stored[BODY:], bound)
        except InvalidTag:
            raise TamperedError(
                f"a value of {place.label} does not open with version {version} of the key"
                " in its place",
                hint="it was altered, or copied from another row, column, table or tenant, or "
                "the ring holds another key under this version",
            ) from None

    def _cipher(self, version: int, secret: bytes | None) -> AESGCM:
        if secret is None:
            return self.values[version]
        mac = self.persons[version].copy()
        mac.update(PERSON + secret)
        return AESGCM(mac.digest())

    def index(self, normal: str, label: str, tenant: str | None, version: int) -> bytes:
        """Return the blind index of a normalized text under one version of the index key.

        The tenant takes part: the same text of two tenants cannot be told to be the same.
        """
        mac = self.indexes[version].copy()
        for part in (label, tenant or "", normal):
            encoded = part.encode()
            mac.update(len(encoded).to_bytes(4, "big") + encoded)
        return version.to_bytes(4, "big") + mac.digest()[:16]


def parse(text: str, unwrap: Unwrap | None = None, *, where: str) -> KeyRing:
    """Read a key document; `where` is what errors call it. Raises KeyringError without contents."""
    try:
        raw: Any = json.loads(text)
    except ValueError:
        raise _bad(where, "it is no JSON") from None
    if not isinstance(raw, dict) or cast("dict[str, Any]", raw).get("form") != FORM:
        raise _bad(where, f"it is no key document of the form {FORM}")
    document = cast("dict[str, Any]", raw)
    values = _keys(document, "values", unwrap, where)
    indexes = _keys(document, "indexes", unwrap, where)
    return KeyRing(
        MappingProxyType({v: AESGCM(key) for v, key in values.items()}),
        _writes(document, "values", values, where),
        MappingProxyType({v: hmac.new(key, digestmod=DIGEST) for v, key in indexes.items()}),
        _writes(document, "indexes", indexes, where),
        MappingProxyType({v: hmac.new(key, digestmod=DIGEST) for v, key in values.items()}),
    )


def _keys(
    document: dict[str, Any], kind: str, unwrap: Unwrap | None, where: str
) -> dict[int, bytes]:
    entries: Any = document.get(kind)
    if not isinstance(entries, dict) or not entries:
        raise _bad(where, f"it has no {kind}")
    found: dict[int, bytes] = {}
    for name, entry in cast("dict[str, Any]", entries).items():
        if not name.isdecimal() or not 1 <= int(name) <= HIGHEST_VERSION:
            raise _bad(where, f"a version of {kind} is not a positive whole number")
        found[int(name)] = _key(entry, f"version {name} of {kind}", unwrap, where)
    if len(set(found.values())) != len(found):
        raise _bad(where, f"two versions of {kind} are the same key")
    return found


def _key(entry: Any, which: str, unwrap: Unwrap | None, where: str) -> bytes:
    wrapped = isinstance(entry, dict) and "wrapped" in entry
    told: Any = (
        cast("dict[str, Any]", entry).get("wrapped" if wrapped else "key")
        if isinstance(entry, dict)
        else None
    )
    try:
        key = base64.b64decode(told or "", validate=True)
    except (binascii.Error, ValueError, TypeError):
        raise _bad(where, f"{which} is not base64") from None
    if wrapped:
        key = _unwrapped(key, which, unwrap, where)
    if len(key) != KEY_SIZE:
        raise _bad(where, f"{which} has {len(key)} bytes instead of {KEY_SIZE}")
    return key


def _unwrapped(key: bytes, which: str, unwrap: Unwrap | None, where: str) -> bytes:
    if unwrap is None:
        raise KeyringError(
            f"{where}: {which} is wrapped by a KMS, and no KMS was given",
            hint="name yours: ENCRYPTION_KMS=package.module:object, with wrap() and unwrap()",
        )
    try:
        return unwrap(key)
    except Exception as error:  # noqa: BLE001 - whatever a foreign service raises
        # the KMS's own words may hold what it was given
        raise KeyringError(
            f"{where}: the KMS did not unwrap {which} ({type(error).__name__})",
            hint="can this process reach the KMS, and is it allowed to use the wrapping key?",
        ) from None


def _writes(document: dict[str, Any], kind: str, keys: dict[int, bytes], where: str) -> int:
    told: Any = document.get("writes")
    version: Any = cast("dict[str, Any]", told).get(kind) if isinstance(told, dict) else None
    if not isinstance(version, int) or version not in keys:
        raise _bad(where, f"`writes` does not name a version of {kind} that is there")
    return version


def _bad(where: str, why: str) -> KeyringError:
    return KeyringError(
        f"the keys in {where} cannot be used: {why}",
        hint="`pgstead keys new DATABASE` makes a key file; restore a damaged one from its backup",
    )
