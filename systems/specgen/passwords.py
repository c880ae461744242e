"""Passwords: argon2id, never on the event loop.

The parameters are RFC 9106's second choice (64 MiB, 3 passes, 4 lanes). One hash takes tens of
milliseconds of a core and 64 MiB; `LANES` at once bound the memory, others wait.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

LANES: Final = 4  # hashes at once, so 256 MiB at most
SHORTEST: Final = 12  # characters (NIST SP 800-63B asks for 8, and no rules beyond length)
LONGEST: Final = 256


@dataclass(slots=True)
class Passwords:
    """Hashes and verifies; one for a process."""

    hasher: PasswordHasher = field(default_factory=PasswordHasher)
    _lanes: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(LANES))
    _nobody: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        """Hash something for those who are not there."""
        self._nobody = self.hasher.hash("nobody has this password")

    async def hash(self, password: str) -> str:
        """Return the hash of a password, with salt and parameters in it."""
        async with self._lanes:
            return await asyncio.to_thread(self.hasher.hash, password)

    async def verify(self, stored: str | None, password: str) -> bool:
        """Say whether a password is the one of a hash.

        Without a hash (nobody has this address) it takes the same time, and is never true: how
        long an answer takes does not tell who has an account.
        """
        async with self._lanes:
            right = await asyncio.to_thread(self._verify, stored or self._nobody, password)
        return right and stored is not None

    def _verify(self, stored: str, password: str) -> bool:
        try:
            return self.hasher.verify(stored, password)
        except (VerificationError, InvalidHashError):
            return False
