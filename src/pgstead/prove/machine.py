"""What a report says of the machine and the versions that a proof was made on."""

from __future__ import annotations

import platform
import ssl
from importlib import metadata

import psycopg
from psycopg import pq

from pgstead.model.design import Design


def versions(design: Design) -> dict[str, str]:
    """Return the versions of all that took part."""
    try:
        own = metadata.version("pgstead")
    except metadata.PackageNotFoundError:
        own = "unknown"
    found = {
        "pgstead": own,
        "postgresql": design.build.version,
        "pgbouncer": design.pooler.text if design.pooler else "none",
        "psycopg": psycopg.__version__,
        "libpq": str(pq.version()),
        "python": platform.python_version(),
        "openssl": ssl.OPENSSL_VERSION,
    }
    return {name: str(value) for name, value in found.items()}


def facts(design: Design) -> dict[str, str]:
    """Return the machine's facts, as far as a reader needs them to judge figures."""
    return {
        "system": f"{platform.system()} {platform.release()}",
        "architecture": platform.machine(),
        "cpus": f"{design.host.cpus:g}",
        "memory": f"{design.host.usable_memory // 2**20} MiB",
        "binaries": design.build.origin,
    }
