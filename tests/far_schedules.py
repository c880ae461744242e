"""Schedules for steads of tests: half a day away, so that no night's job meets a test by chance."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

# what the agent does by the clock, unless the manifest says otherwise
JOBS: Mapping[str, tuple[str, ...]] = {
    "backup": ("schedule",),
    "backup.drill": ("schedule",),
    "upkeep": ("schedule",),
    "rotation": ("schedule",),
    "care": ("retention", "partitions", "integrity"),
}
_FIRST = "\n[backup]\n"  # each manifest of fix_stead has it


def undisturbed(manifest: str, now: datetime | None = None) -> str:
    """Return a manifest with a far schedule for each job that it gives none for."""
    try:
        told = tomllib.loads(manifest)
    except tomllib.TOMLDecodeError:
        return manifest  # the test is of that
    far = (now or datetime.now(UTC)) + timedelta(hours=12)
    when = f"{far.minute} {far.hour} * * *"
    for table, keys in JOBS.items():
        known = _table(told, table)
        lines = "".join(f'{key} = "{when}"\n' for key in keys if key not in known)
        header = f"\n[{table}]\n"
        if header in manifest:
            manifest = manifest.replace(header, header + lines, 1)
        elif not known:
            manifest = manifest.replace(_FIRST, header + lines + _FIRST, 1)
    return manifest


def _table(told: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    for part in name.split("."):
        told = told.get(part, {})
    return told
