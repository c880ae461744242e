"""Connections as the monitoring role: reads statistics, changes nothing, waits for nobody."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.rows import dict_row

from pgstead.model.design import Design
from pgstead.ports import Secrets

_CONNECT = 3  # seconds
_OPTIONS = (
    "-c default_transaction_read_only=on -c statement_timeout=2s -c lock_timeout=100ms"
    " -c search_path=pg_catalog,public -c TimeZone=UTC -c client_min_messages=error"
)
_ANYWHERE = {"*": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound


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
        self, database: str, name: str, *, options: str
    ) -> psycopg.Connection[dict[str, Any]]:
        design = self._design
        door = design.door(name)
        if door is not None:
            host, port = _ANYWHERE.get(door.hosts[0], door.hosts[0]), door.port
            mode, ca = "verify-full", str(design.layout.ca)
        else:  # a build without TLS opens no TCP port
            host, port = str(design.layout.socket), int(design.settings["port"])
            mode, ca = "disable", ""
        # Every parameter that a PG* variable of the user's shell could set is set here.
        return psycopg.Connection[dict[str, Any]].connect(
            host=host,
            hostaddr="",
            port=port,
            user=design.monitor_role,
            password=self._secrets.value(design.monitor_role),
            dbname=database,
            sslmode=mode,
            sslrootcert=ca,
            gssencmode="disable",
            target_session_attrs="any",
            client_encoding="UTF8",
            application_name=self._name,
            connect_timeout=_CONNECT,
            options=options,
            autocommit=True,
            row_factory=dict_row,
        )
