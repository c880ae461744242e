"""SCRAM-SHA-256 verifiers (RFC 5802, RFC 7677), as PostgreSQL stores them in rolpassword.

pgstead sends verifiers, never a plain password, so that no statement log can hold one.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import unicodedata

ITERATIONS = 4096  # PostgreSQL's default, `scram_iterations`


def _prepared(password: str) -> bytes:
    # SASLprep (RFC 4013) for what our generator and most people type; PostgreSQL itself
    # falls back to the raw bytes when preparation fails (src/common/scram-common.c).
    return unicodedata.normalize("NFKC", password).encode()


def verifier(password: str, salt: bytes, iterations: int = ITERATIONS) -> str:
    """Return `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>`."""
    salted = hashlib.pbkdf2_hmac("sha256", _prepared(password), salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    stored_key = hashlib.sha256(client_key).digest()
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    b64 = base64.b64encode
    return (
        f"SCRAM-SHA-256${iterations}:{b64(salt).decode()}"
        f"${b64(stored_key).decode()}:{b64(server_key).decode()}"
    )


def matches(password: str, stored: str) -> bool:
    """Say whether a stored verifier belongs to the password. Raises nothing."""
    try:
        scheme, iterations_and_salt, _keys = stored.split("$")
        iterations, salt = iterations_and_salt.split(":")
        if scheme != "SCRAM-SHA-256":
            return False
        made = verifier(password, base64.b64decode(salt, validate=True), int(iterations))
    except ValueError:
        return False
    return hmac.compare_digest(made.encode(), stored.encode())
