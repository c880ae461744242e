"""On what data lies when nobody runs: encrypted, plain, in memory, or not to be seen from here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class AtRestPlan:
    """What the manifest demands to lie on encrypted devices."""

    data: bool = False
    backups: bool = False


class Shelter(StrEnum):
    """What becomes of a place when its disk is carried away."""

    ENCRYPTED = "encrypted"
    MEMORY = "in memory"  # gone with the power
    PLAIN = "not encrypted"  # by this machine; what a drive does inside is not seen
    UNKNOWN = "unknown"


# From the best to the worst: a thing that lies on several is as safe as the worst of them.
_ORDER = (Shelter.MEMORY, Shelter.ENCRYPTED, Shelter.UNKNOWN, Shelter.PLAIN)


@dataclass(frozen=True, slots=True)
class Lying:
    """On what something lies, from the file system down to the disk."""

    shelter: Shelter
    chain: tuple[str, ...]  # "ext4", "dm-1", "dm-0 (LUKS2)"
    why: str = ""  # what keeps it from being known

    @property
    def safe(self) -> bool:
        """Say whether nobody reads it who carries the disk away."""
        return self.shelter in (Shelter.ENCRYPTED, Shelter.MEMORY)

    @property
    def text(self) -> str:
        """Tell it as people read it."""
        said = f"{self.shelter}: {' on '.join(self.chain)}"
        return f"{said}; {self.why}" if self.why else said

    def over(self, *layers: str) -> Lying:
        """Return what lies on layers that lie on this."""
        return Lying(self.shelter, (*layers, *self.chain), self.why)


def worst(found: Iterable[Lying]) -> Lying:
    """Return the worst of what something lies on; of equals the first."""
    return max(found, key=lambda lying: _ORDER.index(lying.shelter))


@dataclass(frozen=True, slots=True)
class Place:
    """Something of a stead that holds what the database holds."""

    name: str  # "data directory", "WAL", "tablespace 16402"
    path: str
    lying: Lying
