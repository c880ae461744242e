"""Logging in by the doors of a stead, whatever a PG* variable of the caller's shell says."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.rows import dict_row

from pgstead.model.design import Design


def connect(
    design: Design, door: str, role: str, password: str, *, database: str, program: str,
    options: str = "", patience: int = 10,
) -> psycopg.Connection[dict[str, Any]]:  # fmt: skip
    """Open a connection (autocommit, dict rows). Raises psycopg.Error.

    Without that door by the socket: a build without TLS opens no TCP port.
    """
    found = design.door(door)
    if found is not None:
        host, port = found.here, found.port
        mode, ca = "verify-full", str(design.layout.ca)
    else:
        host, port = str(design.layout.socket), int(design.settings["port"])
        mode, ca = "disable", ""
    # every parameter that a variable could set is set here
    return psycopg.Connection[dict[str, Any]].connect(
        host=host,
        hostaddr="",
        port=port,
        user=role,
        password=password,
        dbname=database,
        sslmode=mode,
        sslrootcert=ca,
        sslcertmode="disable",
        gssencmode="disable",
        target_session_attrs="any",
        client_encoding="UTF8",
        application_name=program,
        connect_timeout=patience,
        options=options,
        autocommit=True,
        row_factory=dict_row,
    )
