"""The second factor: codes of an authenticator (TOTP, RFC 6238), each taken once."""

from __future__ import annotations

import base64
import hmac
import secrets
import urllib.parse
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

STEP: Final = 30  # seconds that a code is shown
WINDOW: Final = 1  # codes before and after the present one, for clocks that differ
DIGITS: Final = 6


def new_secret() -> str:
    """Return a new secret: 160 bits in base32, as authenticators take it."""
    return base64.b32encode(secrets.token_bytes(20)).decode()


def address(secret: str, account: str) -> str:
    """Return what an authenticator reads from a QR code."""
    label = urllib.parse.quote(f"specgen:{account}", safe=":")
    return f"otpauth://totp/{label}?secret={secret}&issuer=specgen&digits={DIGITS}&period={STEP}"


def step_of(secret: str, code: str, now: float, last: int | None) -> int | None:
    """Return the step that a code is of, or None where it is wrong or was taken already.

    Args:
        secret: base32.
        code: six digits.
        now: seconds since 1970.
        last: the step of the last code that was taken; no code up to it is taken again.
    """
    # what authenticators speak (RFC 4226); as a MAC SHA-1 is not broken
    generator = TOTP(base64.b32decode(secret), DIGITS, SHA1(), STEP, enforce_key_length=True)  # noqa: S303
    present = int(now) // STEP
    for step in range(present - WINDOW, present + WINDOW + 1):
        shown = generator.generate(step * STEP)
        if hmac.compare_digest(shown, code.encode()) and (last is None or step > last):
            return step
    return None
