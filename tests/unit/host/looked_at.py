"""Directories that change between being looked at and being read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Self


class Listing:
    """What a directory held when it was looked at, as `os.scandir` gives it."""

    def __init__(self, found: list[Any]) -> None:
        self._found = iter(found)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Have nothing to close."""

    def __iter__(self) -> Iterator[Any]:
        return self._found

    def __next__(self) -> Any:
        return next(self._found)

    def close(self) -> None:
        """Have nothing to close."""
