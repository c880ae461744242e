"""Connections to the server as its bootstrap superuser, over the 0700 socket (peer)."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import Any

import psycopg
from psycopg.rows import dict_row

from pgstead.errors import NotRunningError, SqlError
from pgstead.ports.lost import held

_TIMEOUT = "60s"


class SocketSql:
    """`ports.Sql` by psycopg. As root, pg_ident.conf maps root to the superuser."""

    def __init__(self, directory: PurePosixPath, port: int, superuser: str = "postgres") -> None:
        """Keep where the socket is."""
        self._directory = directory
        self._port = port
        self._superuser = superuser

    def _open(self, database: str) -> psycopg.Connection[dict[str, Any]]:
        # Every parameter that a PG* variable of the user's shell could set is set here.
        return psycopg.Connection[dict[str, Any]].connect(
            host=str(self._directory),
            hostaddr="",
            port=self._port,
            user=self._superuser,
            dbname=database,
            passfile=str(self._directory / "none"),  # never the user's
            sslmode="disable",
            gssencmode="disable",
            target_session_attrs="any",
            channel_binding="prefer",
            require_auth="none",  # peer asks for nothing; anything else is not our socket
            client_encoding="UTF8",
            application_name="pgstead",
            connect_timeout=5,
            options=f"-c statement_timeout={_TIMEOUT} -c lock_timeout=0 -c TimeZone=UTC",
            autocommit=True,
            row_factory=dict_row,
        )

    @contextmanager
    def connect(
        self, database: str = "postgres", *, read_only: bool = False
    ) -> Generator[psycopg.Connection[dict[str, Any]]]:
        """Open a connection (autocommit, dict rows, 5 s to connect, statement timeout 60 s).

        Raises NotRunningError when the server does not answer, or ends what it gave; SqlError when
        it refuses us.
        """
        try:
            connection = self._open(database)
        except psycopg.OperationalError as error:
            raise _refusal(error, database) from error
        with held(connection):
            if read_only:
                connection.execute("SET default_transaction_read_only = on")
            yield connection

    def answers(self) -> bool:
        """Say whether the server accepts connections now."""
        try:
            with self._open("postgres") as connection:
                connection.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True


def _refusal(error: psycopg.OperationalError, database: str) -> NotRunningError | SqlError:
    """Tell a server that is down or starting from one that answers and refuses."""
    words = " ".join(str(error).split())
    away = (
        "No such file",
        "Connection refused",
        "starting up",
        "shutting down",
        "not yet accepting",
        "closed the connection",
        "terminating connection",
        "reset by peer",
        "Broken pipe",
        "recovery",
        "timeout",
    )
    if any(sign in words for sign in away):
        return NotRunningError(
            f"the server does not accept connections: {words}",
            hint="`pgstead up` starts it, `pgstead logs` shows why it stopped",
        )
    return SqlError(
        f"the server refused a connection to database {database!r} as its superuser: {words}",
        hint="`pgstead plan` shows an edited pg_hba.conf or pg_ident.conf; `pgstead up` mends it",
    )
