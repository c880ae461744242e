"""Files in which runs are written down before they begin: SQLite, private, on the disk at once."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

from pgstead.errors import StateDirectoryError


@contextmanager
def opened(
    path: Path, what: str, *schema: str, may_be_removed: str
) -> Generator[sqlite3.Connection]:
    """Open one; it is made where there is none. Raises StateDirectoryError."""
    try:
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.touch(mode=0o600)
        with closing(sqlite3.connect(path, timeout=20, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
            for statement in schema:
                connection.execute(statement)
            yield connection
    except (sqlite3.Error, OSError) as error:
        raise StateDirectoryError(
            f"{what} {path} cannot be used: {error}",
            hint=f"free space there; a damaged one may be removed: {may_be_removed}",
        ) from error
