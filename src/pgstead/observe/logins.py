"""Sessions of some roles, at the server and at the pooler."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from pgstead.model.logins import LoginSession
from pgstead.observe.sql_files import query
from pgstead.ports import Ports

# PgBouncer writes whole seconds in its own zone, which is UTC (design.programs).
_TIME = "%Y-%m-%d %H:%M:%S %Z"
_WORKING = frozenset({"active", "waiting"})


def sessions(ports: Ports, roles: Collection[str], *, pooled: bool) -> Iterator[LoginSession]:
    """Yield the sessions of clients; those that the pooler keeps at the server are not theirs.

    Raises NotRunningError where the server, or a pooler that there is, does not answer.
    """
    kept: set[int] = set()
    if pooled:
        clients = ports.console.rows("SHOW CLIENTS")
        kept = {int(row["remote_pid"]) for row in ports.console.rows("SHOW SERVERS")}
        yield from (_pooled(row) for row in clients if row["user"] in roles)
    with ports.sql.connect(read_only=True) as connection:
        rows = connection.execute(query("logins", 15), {"roles": list(roles)}).fetchall()
    for row in rows:
        if row.pop("pid") not in kept:
            yield LoginSession(door="direct", **row)


def _pooled(row: Mapping[str, Any]) -> LoginSession:
    return LoginSession(
        role=row["user"],
        door="pooler",
        application=row.get("application_name") or "",
        client=row["addr"],
        began=_moment(row["connect_time"]),
        used=_moment(row["request_time"]),
        busy=row["state"] in _WORKING,
    )


def _moment(told: Any) -> datetime:
    if isinstance(told, datetime):
        return told.astimezone(UTC)
    return datetime.strptime(str(told), _TIME).replace(tzinfo=UTC)
