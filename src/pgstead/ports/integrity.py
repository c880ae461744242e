"""Protocols of what looks whether data is whole, and of who looks."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import psycopg

    from pgstead.ports.backup import BackupCatalog


@dataclass(frozen=True, slots=True)
class BadPage:
    """A page on the disk that is not what was written."""

    path: str  # of its file below the data directory
    block: int | None  # within that file; None: the file has some, nobody says where


class PageSums(Protocol):
    """Looks at the checksum of every page on the disk."""

    def look(self, *, gentle: bool = False) -> Sequence[BadPage]:
        """Return the pages whose checksum is wrong. Raises HostError where nobody can tell."""
        ...


class Accounts(Protocol):
    """Logins as the roles of a database, by the direct door."""

    def connect(
        self, role: str, database: str, program: str
    ) -> AbstractContextManager[psycopg.Connection[dict[str, Any]]]:
        """Open a connection (autocommit, dict rows). Raises NotRunningError, SqlError."""
        ...


@dataclass(frozen=True, slots=True)
class CarePorts:
    """What retention, partitions and integrity work with."""

    pages: PageSums
    accounts: Accounts
    runs: BackupCatalog  # each of their runs, as those of backups are kept
