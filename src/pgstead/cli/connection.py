"""The connection file of a database, as `up` wrote it: what psql, url and demo go by.

It says what is, not what the manifest may say by now; and reading it takes no time.
"""

from __future__ import annotations

import difflib
from enum import StrEnum
from pathlib import Path

from pgstead.app.connection import ConnectionFile, read
from pgstead.cli.address import Address
from pgstead.cli.place import find_manifest, state_directory
from pgstead.errors import NotRunningError, UsageError


class RoleName(StrEnum):
    """The roles of a database, by what they are for."""

    APP = "app"
    MIGRATOR = "migrator"
    ADMIN = "admin"
    READONLY = "readonly"
    MONITOR = "monitor"


_POOLED = frozenset({RoleName.APP, RoleName.READONLY})


def connection_to(database: str, manifest: str | None) -> ConnectionFile:
    """Return the connection file of a database. Raises NotRunningError before the first `up`."""
    directory = state_directory(find_manifest(manifest)) / "connections"
    known = sorted(path.stem for path in directory.glob("*.json"))
    if database in known:
        return read(directory / f"{database}.json", database)
    raise _no_such(database, known, directory)


def _no_such(database: str, known: list[str], directory: Path) -> NotRunningError | UsageError:
    if not known:
        return NotRunningError(
            f"nothing was brought up here yet: there is no connection file in {directory}",
            hint="`pgstead up` makes the databases of the manifest",
        )
    near = difflib.get_close_matches(database, known, n=1)
    meant = f"; did you mean `{near[0]}`?" if near else ""
    return UsageError(
        f"there is no database `{database}`{meant}",
        hint=f"there is: {', '.join(known)}; `pgstead up` adds what the manifest has",
    )


def state_of(connection: ConnectionFile) -> Path:
    """Return the state directory that a connection file lies in."""
    return connection.path.parent.parent


def address(connection: ConnectionFile, role: RoleName, *, direct: bool) -> Address:
    """Return where a role connects: through the pooler, unless `direct` or there is none.

    Migrator, admin and monitor go direct where they can: their work needs a session of its own,
    and a pool would keep the few places that these roles have.
    """
    direct = direct or (role not in _POOLED and "direct" in connection.doors)
    if direct and "direct" not in connection.doors:
        raise UsageError(
            "this server has no TCP door: its build has no TLS",
            hint="leave --direct out: the pooler is the only way in",
        )
    door = connection.door("direct" if direct or "pooler" not in connection.doors else "pooler")
    account = connection.account(role.value)
    return Address(
        host=door.host,
        port=door.port,
        database=connection.database,
        user=account.user,
        ca=str(connection.ca),
        passfile=str(account.passfile),
        sslmode=connection.sslmode,
    )
