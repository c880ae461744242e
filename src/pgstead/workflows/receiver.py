"""Whether somebody takes the WAL away while it is written."""

from __future__ import annotations

import time

from pgstead.errors import BackupError
from pgstead.ports import Ports

_PATIENCE = 20.0  # seconds for a receiver that was started just now to connect
# As `barman receive-wal` calls itself. It is seen where its slot may not be: in every state but
# `startup`, WAL from the slot's position on is kept and sent.
_CONNECTED = """
    SELECT coalesce(bool_or(state <> 'startup'), false) AS there
    FROM pg_stat_replication WHERE application_name = 'barman_receive_wal'
"""


def await_receiver(ports: Ports, patience: float = _PATIENCE) -> bool:
    """Wait until the receiver of WAL is connected; say whether it is after `patience` seconds.

    After a start of the stead the receiver needs a moment, and `barman backup` refuses at once.
    Raises NotRunningError when the server does not answer.
    """
    end = time.monotonic() + patience
    with ports.sql.connect(read_only=True) as connection:
        while True:
            row = connection.execute(_CONNECTED).fetchone()
            if row is not None and row["there"]:
                return True
            if time.monotonic() > end:
                return False
            time.sleep(0.1)


def missing(error: BackupError) -> BackupError:
    """Return what a failed backup says where nobody receives the WAL besides."""
    return BackupError(
        f"nobody receives the WAL, and {error}",
        hint="`pgstead logs wal-receiver` shows what stops the receiver; `pgstead up` starts it",
    )
