"""What is found where data is looked at whether it is whole, and what may be done about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Check(StrEnum):
    """What is looked at."""

    PAGES = "pages"  # the checksum of each page, as it lies on the disk
    HEAPS = "heaps"  # the rows of each table, by amcheck
    INDEXES = "indexes"  # each B-tree against its table, by amcheck
    CONSTRAINTS = "constraints"  # foreign keys and checks, asked of every row again
    VERSIONS = "versions"  # numbers that have to be 1, 2, 3 ...
    FILES = "files"  # files that rows name, and rows that name files


class Remedy(StrEnum):
    """What may be done about a damage; never in silence."""

    REINDEX = "reindex"  # the table has all of it: the index is built anew beside
    VALIDATE = "validate"  # every row satisfies the constraint by now
    SALVAGE = "salvage"  # the table is restored beside the live one, with a diff
    BY_HAND = "by hand"  # which of the rows is right nobody but their owner knows


@dataclass(frozen=True, slots=True)
class Damage:
    """One thing that is not whole, by name."""

    database: str
    check: Check
    relation: str  # with its schema
    what: str
    block: int | None = None
    key: str = ""  # of the row, as a JSON array
    remedy: Remedy = Remedy.BY_HAND
    constraint: str = ""


@dataclass(frozen=True, slots=True)
class Unseen:
    """What could not be looked at: it is neither whole nor damaged."""

    database: str
    check: Check
    relation: str
    why: str


@dataclass(frozen=True, slots=True)
class Numbered:
    """A column that counts 1, 2, 3 ... among the rows that agree in others."""

    table: str  # with its schema
    column: str
    within: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Named:
    """A column that names files below a directory."""

    table: str
    column: str
    where: str = ""  # SQL: rows that have to have their file


@dataclass(frozen=True, slots=True)
class Declared:
    """What the models of a database say of what has to hold beyond its constraints."""

    numbered: tuple[Numbered, ...] = ()
    files: tuple[Named, ...] = ()
    directory: str = ""  # where the files lie; empty: nobody said


@dataclass(slots=True)
class Integrity:
    """What a check found."""

    damages: list[Damage] = field(default_factory=list[Damage])
    unseen: list[Unseen] = field(default_factory=list[Unseen])
    looked: dict[str, int] = field(default_factory=dict[str, int])  # by check: how many things

    def count(self, check: Check, number: int = 1) -> None:
        """Say that so many more were looked at."""
        self.looked[check.value] = self.looked.get(check.value, 0) + number
