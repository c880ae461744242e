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


class PersonSecrets(Protocol):
    """What encrypted values of persons need beside the ring, for each person one."""

    @property
    def name(self) -> str:
        """Where they lie."""
        ...

    def destroy(self, table: str, key: str) -> bool:
        """End a person's secret for good; say whether it was there."""
        ...


@dataclass(frozen=True, slots=True)
class PersonalPorts:
    """Adapters for what concerns persons."""

    erasures: ErasureList
    files_with: Callable[[Iterable[str]], Iterable[tuple[Path, int]]]  # logs that hold values
    secrets: Callable[[str], PersonSecrets]  # of a database


class Copies(Protocol):
    """Databases copied by the server's own programs."""

    def copy(self, source: str, target: str) -> None:
        """Fill an empty database with all of another one but its change history."""
        ...

    def dump(self, database: str, file: Path) -> None:
        """Write a database to a new file of mode 0600, in pg_dump's custom format."""
        ...


@dataclass(frozen=True, slots=True)
class MaskingPorts:
    """Adapters for masked copies."""

    copies: Copies
    key: Callable[[], bytes]  # of the pseudonyms; made when it is first asked for
