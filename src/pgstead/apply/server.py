"""Effects on the server's settings."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from psycopg import sql

from pgstead.apply.session import Session
from pgstead.errors import SteadError
from pgstead.model.design import Design
from pgstead.model.operation import Operation
from pgstead.model.resources import Override
from pgstead.ports import Ports

_LINE = re.compile(r"postgresql\.conf:(\d+)$")


def override(operation: Operation, design: Design, ports: Ports, session: Session) -> None:
    """Take back what was set beside the design; the caller reloads afterwards."""
    found = operation.before
    if not isinstance(found, Override):
        return
    line = _LINE.search(found.origin)
    if line is None:
        session.run(sql.SQL("ALTER SYSTEM RESET {}").format(_parameter(found.name)))
        return
    path = PurePosixPath(design.layout.data) / "postgresql.conf"
    _comment_out(path, int(line.group(1)), found.name, design, ports)


def _parameter(name: str) -> sql.Composable:
    """Quote a parameter; `auto_explain.log_format` is two identifiers."""
    return sql.SQL(".").join(map(sql.Identifier, name.split(".")))


def _comment_out(path: PurePosixPath, number: int, name: str, design: Design, ports: Ports) -> None:
    found = ports.files.read(path)
    if found is None:
        return
    lines = found.text.splitlines()
    if number > len(lines) or name.lower() not in lines[number - 1].lower():
        raise SteadError(f"{path} changed while it was being mended", hint="run `pgstead up` again")
    lines[number - 1] = f"# {lines[number - 1]}  # taken out by pgstead: use server.settings"
    owner = design.host.server_user
    ports.files.write(path, "\n".join(lines) + "\n", mode=found.mode, owner=owner)


def reload(session: Session) -> None:
    """Make the server read its files again (pg_hba.conf and certificates too)."""
    session.run(sql.SQL("SELECT pg_catalog.pg_reload_conf()"))
