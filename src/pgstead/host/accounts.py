"""Logins as the roles of a database, for work that shall not be the superuser's.

What triggers, policies and checks call is somebody else's code: a session of the superuser would
lend it everything (https://www.postgresql.org/docs/current/ddl-priv.html).
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import psycopg

from pgstead.errors import NotRunningError, SqlError
from pgstead.host import doors
from pgstead.model.design import Design
from pgstead.ports import Secrets
from pgstead.ports.lost import held

_OPTIONS = "-c TimeZone=UTC -c idle_session_timeout=0"


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
            connection = doors.connect(
                self._design, "direct", role, self._secrets.value(role),
                database=database, program=program, options=_OPTIONS,
            )  # fmt: skip
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
        with held(connection):
            yield connection
