"""Named moments: restore points that recovery can stop at."""

from __future__ import annotations

import psycopg

from pgstead.errors import SqlError, UsageError
from pgstead.ports import Ports

_LONGEST = 63  # MAXFNAMELEN - 1, of which we use a name's length


def mark(ports: Ports, name: str) -> str:
    """Set a restore point; return where in the WAL it is.

    Raises UsageError for a name that cannot be one. The server takes a name twice, and recovery
    stops at the first (https://www.postgresql.org/docs/current/functions-admin.html).
    """
    if not name or len(name.encode()) > _LONGEST or not name.isprintable():
        raise UsageError(
            f"{name!r} cannot name a moment", hint=f"1 to {_LONGEST} bytes, all of them visible"
        )
    with ports.sql.connect() as connection:
        try:
            row = connection.execute(
                "SELECT pg_create_restore_point(%(name)s)::text AS lsn", {"name": name}
            ).fetchone()
        except psycopg.Error as error:
            raise SqlError(f"the moment could not be marked: {error}") from error
    assert row is not None
    ports.journal.record("marked", name=name, lsn=row["lsn"])
    return str(row["lsn"])
