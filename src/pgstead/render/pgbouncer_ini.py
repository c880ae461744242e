"""pgbouncer.ini."""

from __future__ import annotations

import re

from pgstead.model.design import Design, PoolerDatabase

_PLAIN = re.compile(r"[A-Za-z0-9_.-]+")
EVERY = "*"  # stands for names that no key can hold; the client's own name is passed on


def identifier(name: str) -> str:
    """Quote a key of [databases]; the design asks only for what the version can read.

    Single quotes, whatever config.md says of double ones (lib/usual/cfparser.c).
    """
    return name if name == EVERY or _PLAIN.fullmatch(name) else f"'{name}'"


def literal(value: str) -> str:
    """Quote a value of a connection string."""
    return "'" + value.replace("'", "''") + "'"


def _target(design: Design) -> str:
    direct = design.door("direct")
    if direct is not None and direct.tls:
        return f"host={direct.hosts[0]} port={direct.port}"
    # A server build without TLS opens no TCP port: its Unix socket is the only way (TLS-1).
    return f"host={literal(str(design.layout.socket))} port={design.settings['port']}"


def _database(design: Design, entry: PoolerDatabase) -> str:
    figures = f"pool_size={entry.pool_size} reserve_pool={entry.reserve_pool}"
    name = "" if entry.name == EVERY else f" dbname={literal(entry.name)}"
    looks_up = f" auth_user={entry.auth_user}" if entry.auth_user else ""
    return (
        f"{identifier(entry.name)} = {_target(design)}{name} {figures}"
        f" max_db_connections={entry.max_connections}{looks_up}"
    )


def _said(name: str, value: str) -> bool:
    # An empty auth_user would be a role without a name (1.18, src/client.c: set_pool).
    return bool(value) or name != "auth_user"


def text(design: Design) -> str:
    """Return pgbouncer.ini."""
    lines = [f"; made by pgstead for {design.name!r}; edits are undone by `pgstead up`"]
    lines += ["[databases]", *(_database(design, d) for d in design.pooler_databases)]
    lines += ["", "[pgbouncer]"]
    lines += [f"{n} = {v}" for n, v in sorted(design.pooler_settings.items()) if _said(n, v)]
    return "\n".join(lines) + "\n"
