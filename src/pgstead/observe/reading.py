"""A read-only look at the server: connections per database, opened once, closed together."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any, LiteralString, Self

import psycopg

from pgstead.ports.lost import meant

if TYPE_CHECKING:
    from psycopg.sql import Composed

    from pgstead.ports import Sql

_HINT = "run it again; `pgstead logs postgres` shows what the server says"


class Reading:
    """Read-only by construction: every connection has default_transaction_read_only on."""

    def __init__(self, sql: Sql, major: int) -> None:
        """Keep the port; nothing is opened yet."""
        self.major = major
        self._sql = sql
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

    def rows(
        self,
        statement: LiteralString | Composed,
        values: Mapping[str, object],
        database: str = "postgres",
    ) -> list[dict[str, Any]]:
        """Run one query.

        Raises NotRunningError when the server does not answer (any more), SqlError when it refuses.
        """
        if database not in self._open:
            opened = self._sql.connect(database, read_only=True)
            self._open[database] = self._stack.enter_context(opened)
        connection = self._open[database]
        try:
            return connection.execute(statement, values).fetchall()
        except psycopg.Error as error:
            if connection.closed:
                del self._open[database]
            asked = f"a question about database {database!r}"
            raise meant(error, connection, asked, _HINT) from error
