"""Connections as the monitoring role: reads statistics, changes nothing, waits for nobody."""

from __future__ import annotations

from typing import Any

import psycopg

from pgstead.host import doors
from pgstead.model.design import Design
from pgstead.ports import Secrets

_CONNECT = 3  # seconds
_OPTIONS = (
    "-c default_transaction_read_only=on -c statement_timeout=2s -c lock_timeout=100ms"
    " -c search_path=pg_catalog,public -c TimeZone=UTC -c client_min_messages=error"
)


class MonitorConnections:
    """`ports.telemetry.Monitor` by psycopg; the password is read for each connection."""

    def __init__(self, design: Design, secrets: Secrets, name: str = "pgstead sampler") -> None:
        """Keep where the doors are, and as what we are shown; nothing is opened yet."""
        self._design = design
        self._name = name
        self._secrets = secrets

    def connect(self, database: str) -> psycopg.Connection[dict[str, Any]]:
        """Open a read-only one. Raises psycopg.Error."""
        return self._open(database, "direct", options=_OPTIONS)

    def console(self) -> psycopg.Connection[dict[str, Any]]:
        """Open one to the pooler's console, which takes no options. Raises psycopg.Error."""
        return self._open("pgbouncer", "pooler", options="")

    def _open(
        self, database: str, door: str, *, options: str
    ) -> psycopg.Connection[dict[str, Any]]:
        role = self._design.monitor_role
        return doors.connect(
            self._design, door, role, self._secrets.value(role),
            database=database, program=self._name, options=options, patience=_CONNECT,
        )  # fmt: skip
