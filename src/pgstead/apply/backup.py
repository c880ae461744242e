"""Effects on what backups rest on."""

from __future__ import annotations

import time

from psycopg import sql

from pgstead.apply.session import Session
from pgstead.errors import NotRunningError
from pgstead.model.operation import Operation
from pgstead.model.resources import BackupKey, ReplicationSlot
from pgstead.ports import Ports

_LEAVING = 10.0  # seconds for a receiver to leave the slot


def key(operation: Operation, ports: Ports) -> None:
    """Make the repository and its key. Raises KeysLostError; a repository is never removed."""
    if isinstance(operation.after, BackupKey) and ports.backup is not None:
        ports.backup.vault.ensure()


def slot(operation: Operation, session: Session, ports: Ports) -> None:
    """Make the slot, or take it away; one that has lost WAL is made anew.

    Then WAL is received anew too: from where the receiver was the server has none any more.
    """
    if isinstance(operation.before, ReplicationSlot):
        _drop(operation.before.name, session)
        if operation.before.lost and ports.backup is not None:
            ports.backup.engine.forget_open_segment()
    if isinstance(operation.after, ReplicationSlot):
        # true: WAL is kept from now on, not from when somebody first streams
        session.run(
            sql.SQL("SELECT pg_catalog.pg_create_physical_replication_slot({}, true)").format(
                sql.Literal(operation.after.name)
            )
        )


def _drop(name: str, session: Session) -> None:
    """Drop a slot that somebody may be using, who comes back when he is sent away."""
    end = time.monotonic() + _LEAVING
    users = sql.SQL(
        "SELECT pg_catalog.pg_terminate_backend(active_pid) FROM pg_catalog.pg_replication_slots"
        " WHERE slot_name = {} AND active_pid IS NOT NULL"
    ).format(sql.Literal(name))
    while session.rows(users) and time.monotonic() < end:
        time.sleep(0.05)
    if time.monotonic() >= end:
        raise NotRunningError(
            f"the replication slot {name} is in use by somebody who does not leave it",
            hint="pg_replication_slots.active_pid says by whom",
        )
    session.run(sql.SQL("SELECT pg_catalog.pg_drop_replication_slot({})").format(sql.Literal(name)))
