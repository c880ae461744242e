"""What a stead is, in a few rows: what runs where, and how to connect."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pgstead.model.design import Design, Door

Row = tuple[str, str, str]


def rows(design: Design) -> list[Row]:
    """Return (what, where, which) of everything that listens, and of the databases."""
    return [*_servers(design), *_services(design), *_databases(design)]


def connect_lines(design: Design) -> list[tuple[str, str]]:
    """Return the commands that connect, for the first database."""
    name = design.databases[0].name
    return [
        (f"pgstead psql {name}", f"{design.databases[0].app}, the application's role"),
        (f"pgstead url {name} --driver asyncpg", "the same, for SQLAlchemy"),
        (f"pgstead url {name} --role readonly --direct", "who may only read, past the pooler"),
    ]


def own_path() -> Path | None:
    """Return where `pgstead` lies, if the shell would not find this one by its name."""
    own = Path(sys.executable).parent / "pgstead"
    if not own.exists() or shutil.which("pgstead") == str(own):
        return None
    return own.relative_to(Path.cwd()) if own.is_relative_to(Path.cwd()) else own


def where(door: Door) -> str:
    """Return `host:port` of a door."""
    host = door.hosts[0]
    return f"[{host}]:{door.port}" if ":" in host else f"{host}:{door.port}"


def _servers(design: Design) -> list[Row]:
    direct = design.door("direct")
    place = where(direct) if direct else f"{design.layout.socket} (socket only)"
    build, pooler = design.build, design.pooler
    missing = build.origin == "missing"
    which = f"PostgreSQL {build.major}, not on this machine" if missing else build.version
    found: list[Row] = [("server", place, which if missing else f"PostgreSQL {which}")]
    door = design.door("pooler")
    if door is not None and pooler is not None:
        absent = pooler.origin == "missing"
        which = "PgBouncer, not on this machine" if absent else f"PgBouncer {pooler.text}"
        found.append(("pooler", where(door), which))
    return found


def _services(design: Design) -> list[Row]:
    return [
        ("service", f"http://{service.host}:{service.port}", service.application)
        for service in design.services
    ]


def _databases(design: Design) -> list[Row]:
    return [
        ("database", database.name, ", ".join(f"at {head}" for head in database.heads))
        for database in design.databases
    ]
