"""Connections that write, one per database, opened when first needed."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeAlias

import psycopg
from psycopg import sql

from pgstead.ports.lost import meant

if TYPE_CHECKING:
    from pgstead.ports import Sql

Statement: TypeAlias = sql.SQL | sql.Composed

_HINT = "look at `pgstead logs postgres`; `pgstead plan` shows what is left to do"
# Verifiers must not reach the server's log, whatever log_statement says.
_QUIET = sql.SQL(
    "SET log_statement = 'none'; SET log_min_duration_statement = -1;"
    " SET log_min_error_statement = 'panic'; SET search_path = pg_catalog, pg_temp"
)


class Session:
    """Run statements as the bootstrap superuser; close everything together."""

    def __init__(self, port: Sql) -> None:
        """Keep the port; nothing is opened yet."""
        self._port = port
        self._stack = ExitStack()
        self._open: dict[str, psycopg.Connection[dict[str, Any]]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def run(self, *statements: Statement, database: str = "postgres") -> None:
        """Run statements, several of them in one transaction. Raises SqlError, NotRunningError."""
        with self._asked(database, "a change of") as connection:
            if len(statements) == 1:
                connection.execute(statements[0])
                return
            with connection.transaction():
                for statement in statements:
                    connection.execute(statement)

    def rows(self, statement: Statement, database: str = "postgres") -> list[dict[str, Any]]:
        """Run one query and return its rows. Raises SqlError, NotRunningError."""
        with self._asked(database, "a question about") as connection:
            return connection.execute(statement).fetchall()

    @contextmanager
    def _asked(self, database: str, what: str) -> Generator[psycopg.Connection[dict[str, Any]]]:
        """Give the connection; one that is gone is told, and never given again."""
        connection: psycopg.Connection[dict[str, Any]] | None = None
        try:
            connection = self._connection(database)
            yield connection
        except psycopg.Error as error:
            if connection is not None and connection.closed:
                del self._open[database]
            raise meant(error, connection, f"{what} database {database!r}", _HINT) from error

    def _connection(self, database: str) -> psycopg.Connection[dict[str, Any]]:
        if database not in self._open:
            opened = self._stack.enter_context(self._port.connect(database))
            opened.execute(_QUIET)
            self._open[database] = opened
        return self._open[database]
