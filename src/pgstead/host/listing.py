"""What lies in folders that others take files and folders out of while they are looked at.

`Path.glob("*/*")` of Python 3.11 fails where a folder goes between being seen and being read, and
Barman removes whole folders of WAL. Here what is gone was never there; like `glob`, a folder that
may not be read holds nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path


def within(folder: str | Path) -> list[Path]:
    """Return what lies in a folder; nothing where it is none, or none any more."""
    try:
        with os.scandir(folder) as entries:
            return [Path(entry.path) for entry in entries]
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []


def two_down(folder: str | Path) -> Iterator[Path]:
    """Yield what lies in the folders of a folder, as segments of WAL do."""
    for place in within(folder):
        yield from within(place)


def files_below(folder: str | Path) -> Iterator[Path]:
    """Yield all that is no folder, however deep."""
    for place, _, names in os.walk(folder):
        yield from (Path(place, name) for name in names)


def written(path: Path) -> float:
    """Return when a file was last written, 0 for one that is gone by now."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def size_of(path: Path) -> int:
    """Return the bytes of a file, 0 for one that is gone by now."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
