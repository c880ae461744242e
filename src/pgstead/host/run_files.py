"""Files in which runs are written down before they begin: SQLite, private, on the disk at once."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

from pgstead.errors import StateDirectoryError

_PATIENCE = 20.0  # seconds for others that write
_POLL = 0.02


@contextmanager
def opened(
    path: Path, what: str, *schema: str, may_be_removed: str
) -> Generator[sqlite3.Connection]:
    """Open one; it is made where there is none. Raises StateDirectoryError."""
    try:
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.touch(mode=0o600)
        opening = sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None)
        with closing(opening) as connection:
            _keep_a_wal(connection)
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


def _keep_a_wal(connection: sqlite3.Connection) -> None:
    """Have the file in WAL mode. Of several that make a file, all but one are refused at once.

    The timeout counts for who waits to begin, not for who reads and then wants to write, as this
    statement does (https://www.sqlite.org/c3ref/busy_handler.html).
    """
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
            time.sleep(_POLL)
        else:
            return
