"""What the erasure of a person needs from outside."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from pgstead.model.erasure import Erasure


class ErasureList(Protocol):
    """Who was erased, kept where no restore of the database reaches."""

    def all(self) -> tuple[Erasure, ...]:
        """Return what was erased, oldest first."""
        ...

    def append(self, line: Mapping[str, Any]) -> None:
        """Add a line; it is on the disk when this returns."""
        ...


@dataclass(frozen=True, slots=True)
class PersonalPorts:
    """Adapters for what concerns persons."""

    erasures: ErasureList
    files_with: Callable[[Iterable[str]], Iterable[tuple[Path, int]]]  # logs that hold values
