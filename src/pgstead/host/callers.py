"""Who asks in a load: a client of an HTTP service, of a database, and one that only connects."""

from __future__ import annotations

import http.client
from collections.abc import Mapping
from contextlib import suppress
from random import Random
from typing import Any

import psycopg
from psycopg.rows import dict_row

from pgstead.host.traffic import Saying
from pgstead.model.bench import Request

_PATIENCE = 30.0  # seconds
Login = Mapping[str, str | int]


class Browser:
    """One keep-alive connection to a service (RFC 9112, 9.3)."""

    def __init__(self, host: str, port: int) -> None:
        """Connect with the first request."""
        self._connection = http.client.HTTPConnection(host, port, timeout=_PATIENCE)

    def say(self, said: Request, /) -> str:
        """Send it; return why it failed."""
        try:
            self._connection.request(
                said.method, said.path, said.body or None, headers=dict(said.headers)
            )
            answer = self._connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            return type(error).__name__
        return "" if answer.status == said.status else f"HTTP {answer.status}"

    def close(self) -> None:
        """Let go of the connection."""
        self._connection.close()


def connected(login: Login) -> psycopg.Connection[dict[str, Any]]:
    """Connect by libpq's parameters. Raises psycopg.Error."""
    return psycopg.Connection[dict[str, Any]].connect(
        **login,  # pyright: ignore[reportArgumentType] - libpq's own names
        application_name="pgstead bench",
        connect_timeout=5,
        gssencmode="disable",
        autocommit=True,
        prepare_threshold=None,  # behind a pooler the next statement may meet another server
        row_factory=dict_row,
    )


class Speaker:
    """One connection to a database; what a statement changes is taken back."""

    def __init__(self, login: Login) -> None:
        """Connect with the first statement."""
        self._login = login
        self._open: psycopg.Connection[dict[str, Any]] | None = None
        self._chance = Random(1)  # noqa: S311 - the same values in every run

    def say(self, said: Saying, /) -> str:
        """Say it; return why it failed."""
        try:
            connection = self._open = self._open or connected(self._login)
            values = self._chance.choice(said.values) if said.values else None
            if not said.changes:
                connection.execute(said.statement, values).fetchall()
                return ""
            with connection.transaction(force_rollback=True):
                cursor = connection.execute(said.statement, values)
                if cursor.description is not None:
                    cursor.fetchall()
        except psycopg.Error as error:
            if self._open is not None and self._open.closed:
                self._open = None
            return f"SQLSTATE {error.sqlstate}" if error.sqlstate else type(error).__name__
        return ""

    def close(self) -> None:
        """Let go of the connection; a statement that runs is cancelled first."""
        if self._open is not None:
            with suppress(psycopg.Error):
                self._open.cancel_safe(timeout=2)
            self._open.close()


class Newcomer:
    """Somebody who connects anew each time, and leaves."""

    def __init__(self, login: Login) -> None:
        """Keep where to."""
        self._login = login

    def say(self, _said: object, /) -> str:
        """Connect and leave; return why it failed."""
        try:
            connected(self._login).close()
        except psycopg.Error as error:
            return f"SQLSTATE {error.sqlstate}" if error.sqlstate else type(error).__name__
        return ""

    def close(self) -> None:
        """Nothing is open."""
