"""Who came into a test's database: read from the server's own log, so nothing escapes it."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

from psycopg import sql

from pgstead.errors import NotRunningError
from pgstead.testing.template import Superuser

_PATIENCE = 10.0  # seconds
_POLL = 0.001
_CAME = "connection authorized:"


@dataclass(frozen=True, slots=True)
class Login:
    """One connection that the server let in."""

    role: str
    database: str
    program: str


class LoginLog:
    """Follows the server's log; one per process of the tests."""

    def __init__(self, path: Path, superuser: Superuser) -> None:
        """Begin at the log's end."""
        self._superuser = superuser
        self._file: BufferedReader = path.open("rb")
        self._file.seek(0, 2)
        self._rest = b""

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def take(self, databases: Collection[str]) -> list[Login]:
        """Return who came into any of the databases since the last time.

        A line of our own is written first: what happened before stands before it.
        """
        mark = f"pgstead.testing {uuid.uuid4().hex}"
        statement = sql.SQL("DO {}").format(sql.Literal(f"BEGIN RAISE LOG '{mark}'; END"))
        self._superuser.execute(statement)
        return [
            Login(line["user"], line["dbname"], line.get("application_name", ""))
            for line in self._until(mark)
            if line.get("dbname") in databases and str(line.get("message", "")).startswith(_CAME)
        ]

    def _until(self, mark: str) -> Iterator[dict[str, str]]:
        until = time.monotonic() + _PATIENCE
        wanted = mark.encode()
        found = False
        while not found:
            for line in self._lines():
                found = found or wanted in line
                if _CAME.encode() in line:
                    yield json.loads(line)
            if time.monotonic() > until:
                raise NotRunningError("the server of the tests writes no log any more")
            time.sleep(_POLL)

    def _lines(self) -> list[bytes]:
        """Return the lines that are complete."""
        *lines, self._rest = (self._rest + self._file.read()).split(b"\n")
        return lines
