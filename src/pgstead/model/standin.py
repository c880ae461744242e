"""Stand-ins: the second login of a role, for as long as its password is changed (docs/adr/0033)."""

from __future__ import annotations

import hashlib

SUFFIX = "_standin"
_LONGEST = 63  # bytes of a name (NAMEDATALEN - 1)


def standin_of(role: str) -> str:
    """Return the name of a role's stand-in; a long name is cut, and told apart by its digest."""
    name = role + SUFFIX
    if len(name.encode()) <= _LONGEST:
        return name
    tail = f"_{hashlib.sha256(role.encode()).hexdigest()[:8]}{SUFFIX}"
    return role.encode()[: _LONGEST - len(tail)].decode(errors="ignore") + tail
