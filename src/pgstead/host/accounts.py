"""Logins as the roles of a database, for work that shall not be the superuser's.

What triggers, policies and checks call is somebody else's code: a session of the superuser would
lend it everything (https://www.postgresql.org/docs/current/ddl-priv.html).
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.rows import dict_row

from pgstead.errors import NotRunningError, SqlError
from pgstead.model.design import Design
from pgstead.ports import Secrets

_CONNECT = 10  # seconds
_ANYWHERE = {"*": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound


class RoleAccounts:
    """`ports.integrity.Accounts` by psycopg; the password is read for each connection."""

    def __init__(self, design: Design, secrets: Secrets) -> None:
        """Keep where the direct door is; nothing is opened yet."""
        self._design = design
        self._secrets = secrets

    @contextmanager
    def connect(
        self, role: str, database: str, program: str
    ) -> Generator[psycopg.Connection[dict[str, Any]]]:
        """Open a connection (autocommit, dict rows). Raises NotRunningError, SqlError."""
        try:
            connection = self._open(role, database, program)
        except psycopg.OperationalError as error:
            words = " ".join(str(error).split())
            if "refused" in words or "No such file" in words or "starting up" in words:
                raise NotRunningError(
                    f"the server does not accept connections: {words}",
                    hint="`pgstead up` starts it, `pgstead logs` shows why it stopped",
                ) from error
            raise SqlError(
                f"{role} could not log in to {database}: {words}",
                hint="`pgstead plan` shows a role, a password or a rule that differs; `pgstead up`"
                " mends it",
            ) from error
        with connection:
            yield connection

    def _open(self, role: str, database: str, program: str) -> psycopg.Connection[dict[str, Any]]:
        design = self._design
        door = design.door("direct")
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
            user=role,
            password=self._secrets.value(role),
            dbname=database,
            sslmode=mode,
            sslrootcert=ca,
            sslcertmode="disable",
            gssencmode="disable",
            target_session_attrs="any",
            client_encoding="UTF8",
            application_name=program,
            connect_timeout=_CONNECT,
            options="-c TimeZone=UTC -c idle_session_timeout=0",
            autocommit=True,
            row_factory=dict_row,
        )
