"""What the trees of the pinned binaries add up to, unpacked (tools/tree_sums.py writes it)."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources


@cache
def _table() -> dict[str, dict[str, str]]:
    source = resources.files("pgstead.catalog") / "data" / "tree_sums.json"
    return json.loads(source.read_text(encoding="utf-8"))


def pinned_sum(version: str, platform: str) -> str | None:
    """Return what a tree ought to add up to ("18.6.0", "linux-x86_64"), None where none is known.

    The wheel's own sum (`catalog.toolchain`) is compared when it is fetched; this one also later.
    """
    return _table().get(version, {}).get(platform)
