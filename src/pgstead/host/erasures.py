"""The list of erasures, as a file of mode 0600 that only grows; and values in logs of ours."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pgstead.host.files import problem, sync_directory
from pgstead.model.erasure import Erasure, erasures

_PIECE = 1 << 20  # bytes that are searched at once
_OVERLAP = 1 << 10  # as long as a value may be and still be found over the edge of two pieces


class ErasureFile:
    """`ports.personal.ErasureList` in a file."""

    def __init__(self, path: Path) -> None:
        """Keep where it lies; its directory is made by the first erasure."""
        self._path = path

    def all(self) -> tuple[Erasure, ...]:
        """Return what was erased, oldest first. Raises StateDirectoryError."""
        try:
            return erasures(self._path.read_text(encoding="utf-8").splitlines())
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise problem(error, self._path, "reading") from error

    def append(self, line: Mapping[str, Any]) -> None:
        """Add a line; it is on the disk when this returns. Raises StateDirectoryError."""
        text = json.dumps(line, ensure_ascii=False, sort_keys=True)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND
            handle = os.open(self._path, flags, 0o600)
            with os.fdopen(handle, "r+b", buffering=0) as file:
                size = file.seek(0, os.SEEK_END)
                # a line that was cut off must not take this one with it
                torn = size > 0 and os.pread(handle, 1, size - 1) != b"\n"
                file.write(b"\n" * torn + f"{text}\n".encode())
                os.fsync(handle)
            sync_directory(self._path.parent)
        except OSError as error:
            raise problem(error, self._path, "writing") from error


def files_with(values: Iterable[str], places: Iterable[Path]) -> Iterator[tuple[Path, int]]:
    """Yield the files below some places that hold one of the values, and how many of them."""
    wanted = [value.encode().lower() for value in values]  # the letters of ASCII alone
    for place in places if wanted else ():
        for path in sorted(place.rglob("*") if place.is_dir() else [place]):
            if path.is_file() and (count := _held(path, wanted)):
                yield path, count


def _held(path: Path, wanted: list[bytes]) -> int:
    found: set[bytes] = set()
    try:
        with path.open("rb") as file:
            before = b""
            while piece := file.read(_PIECE):
                text = (before + piece).lower()
                found.update(value for value in wanted if value in text)
                before = piece[-_OVERLAP:]
    except OSError:  # it was rotated away meanwhile
        return len(found)
    return len(found)
