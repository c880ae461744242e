"""Files that the three specifications name (DEP-11), for who looks for them by these names.

What they ask for is what `pgstead up` does; docs/reference/named-files.md says, for each file of
theirs, where it is or what took its place.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import PurePosixPath

from pgstead.catalog.variables import VARIABLES, Variable
from pgstead.model.design import DatabasePlan, Design
from pgstead.model.file_tree import MARK, TreeFile
from pgstead.render import postgresql_conf, scraping

_HEAD = f"# {MARK} files`"
# What belongs to the place where a server runs, not to how it is tuned.
_PLACE = (
    "_directory", "_directories", "_file", "cluster_name", "data_", "listen_addresses", "log_",
    "logging_collector", "port", "primary_", "ssl", "unix_socket",
)  # fmt: skip


def files(design: Design, python: str) -> tuple[TreeFile, ...]:
    """Return the files."""
    made = [
        TreeFile(PurePosixPath(".env.example"), environment(design)),
        TreeFile(PurePosixPath("backup-postgres.sh"), _backup(design, python), 0o755),
        TreeFile(PurePosixPath("postgres-tuning.conf"), _tuning(design)),
    ]
    if design.services:
        text = f"{_HEAD}\n{scraping.prometheus(design)}"
        made.append(TreeFile(PurePosixPath("prometheus-postgres.yml"), text))
    return tuple(made)


def environment(design: Design) -> str:
    """Return `.env.example`: every variable of every system, each commented out (DEP-8)."""
    lines = [
        _HEAD,
        "# Nothing of it need be set where the connection file of `pgstead up` is found.",
        "# A value with a password belongs into the environment of the process, never into git.",
    ]
    lines += [line for v in VARIABLES if not v.prefixed for line in _variable(v, design, None)]
    for database in design.databases:
        lines += ["", f"# --- {database.name}"]
        mine = [v for v in VARIABLES if v.prefixed and v.only in {"", database.prefix}]
        lines += [line for v in mine for line in _variable(v, design, database)]
    return "\n".join(lines) + "\n"


def _variable(variable: Variable, design: Design, database: DatabasePlan | None) -> Iterator[str]:
    prefix = database.prefix if database is not None else ""
    alias = f" Also read as {variable.alias}." if variable.alias else ""
    yield f"# {variable.meaning}{alias}"
    yield f"#{prefix}{variable.name}={_example(variable, design, database)}"


def _example(variable: Variable, design: Design, database: DatabasePlan | None) -> str:
    one = database or design.databases[0]
    doors = {door.name: str(door.port) for door in design.doors}
    return variable.example.format(
        app=one.app,
        migrator=one.migrator,
        database=one.name,
        pooler=doors.get("pooler", doors.get("direct", "")),
        direct=doors.get("direct", doors.get("pooler", "")),
        size=one.pool_size,
        overflow=one.max_overflow,
        timeout=f"{one.pool_timeout:g}",
        recycle=one.pool_recycle,
    )


def _backup(design: Design, python: str) -> str:
    """Return a script for who is used to one: dumps as BAK-5 asks for, by what keeps them."""
    manifest = shlex.quote(str(design.layout.manifest_directory))
    lines = [
        "#!/bin/sh",
        f"{_HEAD}: a logical dump of each database, sealed, read again, sizes printed.",
        "# The agent does the same by `backup.export.schedule`; base backups and WAL are its work.",
        "# backup-postgres.sh [DIRECTORY]; ends with the status of `pgstead backup export`.",
        "set -eu",
        f'set -- -m pgstead -C {manifest} backup export ${{1:+--out}} ${{1:+"$1"}}',
        f'exec {shlex.quote(python)} "$@"',
    ]
    return "\n".join(lines) + "\n"


def _tuning(design: Design) -> str:
    """Return the settings that the design has sized, without those of the place."""
    lines = [_HEAD, "# For a server that pgstead does not run: include it in postgresql.conf."]
    for name, value in sorted(design.settings.items()):
        if any(name.startswith(p) or name.endswith(p) for p in _PLACE):
            continue
        reason = design.reasons.get(f"server.{name}")
        why = f"  # {' '.join(reason.formula.split())}" if reason and reason.formula else ""
        lines.append(f"{name} = {postgresql_conf.quoted(value)}{why}")
    return "\n".join(lines) + "\n"
