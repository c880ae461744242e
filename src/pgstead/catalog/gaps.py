"""What a version at hand lacks: features, and known vulnerabilities (SRV-12, POL-6, POL-8)."""

from __future__ import annotations

import json
import re
from functools import cache
from importlib import resources
from typing import Any

from pgstead.model.design import Notice

Version = tuple[int, int, int]


@cache
def _table() -> dict[str, Any]:
    source = resources.files("pgstead.catalog") / "data" / "gaps.json"
    return json.loads(source.read_text(encoding="utf-8"))


def _version(text: str) -> Version:
    major, minor, patch = (int(part) for part in text.split("."))
    return major, minor, patch


def pooler_floor() -> Version:
    """Return the oldest PgBouncer that production accepts without a waiver (POL-8)."""
    return _version(_table()["pooler_floor"])


def of_pooler(version: Version) -> tuple[Notice, ...]:
    """Return what a PgBouncer lacks, one notice each."""
    have = ".".join(map(str, version))
    return tuple(
        Notice(
            code=gap["code"],
            text=f"PgBouncer {have}: {gap['text']}",
            hint=f"fixed in {gap['fixed']}: `pgstead toolchain` or the system's packages",
            severity=gap["severity"],
        )
        for gap in _table()["pooler"]
        if _version(gap.get("since", "0.0.0")) <= version < _version(gap["fixed"])
    )


def newest_server(major: int) -> str:
    """Return the newest minor release that this pgstead knows of a major version."""
    return _table()["server"][str(major)]["newest"]


def of_server(version: str) -> tuple[Notice, ...]:
    """Return what a PostgreSQL lacks against the newest minor release known."""
    found = re.match(r"(\d+)(?:\.(\d+))?", version)
    if found is None or found[1] not in _table()["server"]:
        return ()
    newest = newest_server(int(found[1]))
    if int(found[2] or -1) >= int(newest.partition(".")[2]):  # a beta has no minor yet
        return ()
    return (
        Notice(
            code="server-minor-behind",
            text=f"PostgreSQL {version} is behind {newest}, fixes of vulnerabilities too",
            hint="https://www.postgresql.org/support/security/ lists them; update the binaries",
            severity="warning",
        ),
    )
