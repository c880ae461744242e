"""Pseudonyms: what stands in a masked copy for what a person's rows say.

The same value becomes the same pseudonym everywhere, by a key that nobody has who has the copy:
so equal values stay equal, joins and frequencies stay what they are, and lengths nearly. Words
are replaced one by one by words of their length, which is what keeps a search or an index as
selective as it was; whoever knows how often a name occurs may still guess at it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import uuid
from dataclasses import dataclass, field
from typing import Any, cast

_VOWELS, _CONSONANTS = "aeiou", "bcdfghjklmnprstvz"
_WORD = re.compile(r"[^\W\d_]+|\d+")
_ARGON2ID = "$argon2id$v=19$m=65536,t=3,p=4$"  # of no password: both parts are drawn
_HEADER = 6  # bytes of an encrypted value that say its form and key (encrypted-values.md)
# Nothing of a person is in them, or a copy without them could not be worked with.
UNMASKED = frozenset({"flag", "time"})


@dataclass(frozen=True)
class Pseudonyms:
    """Makes pseudonyms by a key."""

    key: bytes = field(repr=False)

    def of(self, kind: str, text: str, attempt: int = 0) -> str:
        """Return what stands for a value, as text; a further attempt gives another one."""
        makers = {
            "address": self._address, "argon2id": self._argon2id, "digest": self._digest,
            "document": self._document, "email": self._email, "list": self._document,
            "number": self._number, "sealed": self._sealed, "url": self._url, "uuid": self._uuid,
        }  # fmt: skip
        return makers.get(kind, self._words)(text, attempt)

    def days(self) -> int:
        """Return by how many days moments are moved: so much in all rows of all tables."""
        return -(1 + int.from_bytes(self._bytes("days", 4)) % 365)

    # -- kinds ------------------------------------------------------------------------------------

    def _words(self, text: str, attempt: int) -> str:
        seed = f"{attempt} {text} " if attempt else ""
        return _WORD.sub(lambda found: self._word(f"{seed}{found[0].casefold()}", found[0]), text)

    def _word(self, seed: str, word: str) -> str:
        drawn = self._bytes(f"word {seed}", len(word))
        if word.isdigit():
            return "".join(str(byte % 9 + 1) for byte in drawn)
        letters = [(_VOWELS if n % 2 else _CONSONANTS) for n in range(len(word))]
        made = "".join(a[byte % len(a)] for a, byte in zip(letters, drawn, strict=True))
        return made.upper() if word.isupper() else made.title() if word.istitle() else made

    def _email(self, text: str, attempt: int) -> str:
        domain = text.rpartition("@")[2].casefold()
        return f"{self._drawn(f'{attempt} {text}', 10)}@{self._drawn(domain, 8)}.invalid"

    def _url(self, text: str, attempt: int) -> str:
        host = text.partition("://")[2].partition("/")[0]
        path = self._drawn(f"{attempt} {text}", 12)
        return f"https://{self._drawn(host, 8)}.invalid/{path}"

    def _address(self, text: str, attempt: int) -> str:
        drawn = self._bytes(f"address {attempt} {text}", 15)
        if ":" in text:
            return "fd" + re.sub(r"(....)(?=.)", r"\1:", drawn.hex())[2:]
        return ".".join(["10", *map(str, drawn[:3])])

    def _number(self, text: str, attempt: int) -> str:
        return re.sub(r"\d+", lambda m: self._word(f"{attempt} {text}", m[0]), text)

    def _uuid(self, text: str, attempt: int) -> str:
        return str(uuid.UUID(bytes=self._bytes(f"uuid {attempt} {text}", 16), version=4))

    def _document(self, text: str, attempt: int) -> str:
        return json.dumps(self._inside(json.loads(text), attempt), ensure_ascii=False)

    def _inside(self, value: Any, attempt: int) -> Any:
        match value:
            case dict():
                told = cast("dict[str, Any]", value)
                return {name: self._inside(part, attempt) for name, part in told.items()}
            case list():
                parts = cast("list[Any]", value)
                return [self._inside(part, attempt) for part in parts]
            case str():
                return self._words(value, attempt)
            case bool() | None:
                return value
            case _:
                return json.loads(self._number(str(value), attempt))

    def _digest(self, text: str, attempt: int) -> str:
        plain = text.removeprefix("\\x")
        drawn = self._bytes(f"digest {attempt} {text}", (len(plain) + 1) // 2).hex()
        return text[: len(text) - len(plain)] + drawn[: len(plain)]

    def _sealed(self, text: str, attempt: int) -> str:
        """Return what has the form of an encrypted value, and opens by no key."""
        binary = text.startswith("\\x")
        stored = bytes.fromhex(text[2:]) if binary else base64.b64decode(text)
        drawn = self._bytes(f"sealed {attempt} {text}", max(0, len(stored) - _HEADER))
        made = stored[:_HEADER] + drawn
        return f"\\x{made.hex()}" if binary else base64.b64encode(made).decode()

    def _argon2id(self, text: str, attempt: int) -> str:
        drawn = self._bytes(f"argon2id {attempt} {text}", 48)
        parts = (base64.b64encode(part).decode().rstrip("=") for part in (drawn[:16], drawn[16:]))
        return _ARGON2ID + "$".join(parts)

    # -- drawing ----------------------------------------------------------------------------------

    def _drawn(self, seed: str, length: int) -> str:
        """Return letters without a meaning, of a length."""
        return self._word(seed, "x" * length)

    def _bytes(self, seed: str, count: int) -> bytes:
        first = hmac.digest(self.key, seed.encode(), "sha256")
        return hashlib.shake_256(first).digest(count)
