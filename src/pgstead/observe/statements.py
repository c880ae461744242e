"""Counters of statements, and windows of them: read by the agent as the monitoring role."""

from __future__ import annotations

from pgstead.model.statements import Counts, Reading, StatementKey, StatementWindow
from pgstead.observe.lanes import Connection
from pgstead.observe.sql_files import query
from pgstead.observe.telemetry import now
from pgstead.plan import statement_windows

_HIDDEN = "<insufficient privilege>"


class StatementWatch:
    """Remembers one database's counters from one look to the next."""

    def __init__(self, database: str, major: int) -> None:
        """Know nothing yet: the first look gives no window."""
        self._database = database
        self._major = major
        self._before: Reading | None = None

    def look(self, connection: Connection) -> tuple[StatementWindow, ...]:
        """Return what took the most since the last look. Raises psycopg.Error."""
        before, after = self._before, read(connection, self._database, self._major)
        self._before = after
        if before is None:
            return ()
        most = statement_windows.deltas(before, after)
        texts = _texts(connection, [key.queryid for key, _ in most], self._major)
        return tuple(
            StatementWindow(key, texts.get(key.queryid, ""), before.at, after.at, counts)
            for key, counts in most
        )


def read(connection: Connection, database: str, major: int) -> Reading:
    """Return all counters of the connection's database. Raises psycopg.Error."""
    rows = connection.execute(query("inspect/statement_counters", major)).fetchall()
    return Reading(
        now(),
        {
            StatementKey(database, r["usename"], r["queryid"]): Counts(
                r["calls"], r["seconds"], r["rows"], r["blocks_read"], r["temp_bytes"]
            )
            for r in rows
        },
    )


def _texts(connection: Connection, numbers: list[str], major: int) -> dict[str, str]:
    given = [int(number) for number in numbers]
    rows = connection.execute(query("inspect/statement_texts", major), (given,)).fetchall()
    return {r["queryid"]: r["query"] for r in rows if r["query"] != _HIDDEN}
