"""What a database is made of: tables, columns, policies, grants, as the server writes them back.

The server's own spelling is what is compared. The text of a migration and that of a catalog
never agree (`x IN (1, 2)` is kept as `x = ANY (ARRAY[1, 2])`), two catalogs do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

Facet = str | bool
Facets = Mapping[str, Facet]


class Name(NamedTuple):
    """An object of a database: `("column", "public.projects.name")`."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class Definition:
    """All objects of one database, each with its facets."""

    objects: Mapping[Name, Facets]
