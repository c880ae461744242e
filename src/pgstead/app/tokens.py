"""Bearer tokens that name whom they belong to: kept as a hash, proved inside the bearer's scope.

    aia.acme.8f3Q...    kind, bearer, secret

The token says whose it is, so the row that proves it can be looked for as that tenant or person:
row-level security shows the rows of nobody else, and no function has to get past it. A token that
lies about its bearer finds no row. The secret is 256 bits of chance, so one SHA-256 is enough.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass, field

_SECRET = re.compile(r"[A-Za-z0-9_-]{43}")
LONGEST = 512  # characters of a token


@dataclass(frozen=True, slots=True)
class Token:
    """A token as it was sent. Its `repr` holds no secret."""

    kind: str
    bearer: str  # who it claims to be of
    secret: str = field(repr=False)

    @property
    def digest(self) -> bytes:
        """What is kept of it: 32 bytes."""
        return hashlib.sha256(self.text.encode()).digest()

    @property
    def text(self) -> str:
        """What is sent."""
        return f"{self.kind}.{self.bearer}.{self.secret}"


def new(kind: str, bearer: str) -> Token:
    """Make a token; its text is shown once and kept nowhere."""
    return Token(kind, bearer, secrets.token_urlsafe(32))


def parse(kind: str, text: str) -> Token | None:
    """Read a token of a kind, or return None where the text is none."""
    if len(text) > LONGEST or not text.isascii():
        return None
    found, _, rest = text.partition(".")
    bearer, _, secret = rest.rpartition(".")
    if found != kind or not bearer or not _SECRET.fullmatch(secret):
        return None
    return Token(kind, bearer, secret)
