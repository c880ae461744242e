"""Closing the segment of WAL that is open, so that what was written goes where backups are."""

from __future__ import annotations

import time

import psycopg

from pgstead.errors import BackupError, SqlError
from pgstead.ports import Ports
from pgstead.workflows.backup import ports_of

_PATIENCE = 60.0  # seconds for a segment of 16 MB to arrive, on a busy machine too
# An empty segment cannot be closed, and a number for the transaction writes WAL.
_WRITTEN = "SELECT pg_current_xact_id()"
_CLOSED = "SELECT pg_walfile_name(pg_switch_wal()) AS segment"


def close(ports: Ports) -> None:
    """Close the WAL segment that is open now, and wait until the repository has it.

    Barman takes in a streamed segment when there is something of the next one. A server without
    work writes that only after 15 s (LOG_SNAPSHOT_INTERVAL_MS in its bgwriter.c), thus
    `barman switch-wal --archive` waits as long: here it is written at once.

    Raises BackupError where the segment does not arrive, NotRunningError without a server.
    """
    backup = ports_of(ports)
    end = time.monotonic() + _PATIENCE
    with ports.sql.connect() as connection:
        try:
            connection.execute(_WRITTEN)
            row = connection.execute(_CLOSED).fetchone()
            assert row is not None
            while not backup.engine.has(row["segment"]):
                connection.execute(_WRITTEN)
                if time.monotonic() > end:
                    raise BackupError(
                        f"the WAL segment {row['segment']} has not arrived after {_PATIENCE:g} s",
                        hint="`pgstead logs wal-receiver` shows what stops the receiver",
                    )
                time.sleep(0.1)
                backup.engine.archive()
        except psycopg.Error as error:
            raise SqlError(f"the WAL segment could not be closed: {error}") from error
