"""What a stead for tests has in common with the manifest's own, and what it has not. Pure.

The same: version, roles and who may do what, default privileges, extensions, settings of roles,
time-outs, TLS by verify-full, PgBouncer in transaction mode with its sizes, migrations.

Not the same: the ports; nothing outlives the machine (fsync is off); sizes are for small data;
certificates are pgstead's own; no HTTP service runs; access is by role and by CONNECT, because
the databases' names are not known beforehand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType

from pgstead.errors import UsageError
from pgstead.manifest.document import Chosen, DatabaseEntry, Manifest, Networks
from pgstead.model.design import Design, Environment, HbaRule, PoolerDatabase
from pgstead.model.host import HostFacts
from pgstead.model.resources import Role

EVERY = "*"  # PgBouncer's entry for the databases that it was not told of
_MEMORY = 8 * 1024**3  # bytes; the same everywhere, so that plans are the same in CI
_CONNECTIONS = 100  # that one worker of the tests may need in one database, with some room

# What the manifest says of these is meant for its machine, or for data that must survive.
_OF_THE_MACHINE = frozenset({
    "archive_command", "archive_library", "archive_mode", "data_sync_retry", "huge_pages",
    "log_connections", "log_destination", "log_directory", "log_filename",
    "max_connections", "max_wal_size", "min_wal_size",
    "synchronous_standby_names", "wal_buffers",
})  # fmt: skip
_RELAXED: Mapping[str, str] = MappingProxyType({
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "shared_buffers": "128MB",
    # One file, whatever the day: who logged in is read from it.
    "log_filename": "server.log",
    "log_rotation_age": "0",
})  # fmt: skip


def entry_of(manifest: Manifest, name: str) -> DatabaseEntry:
    """Return the database that tests work on. Raises UsageError where it is not clear which."""
    names = [entry.name for entry in manifest.databases]
    if not name and len(names) == 1:
        return manifest.databases[0]
    known = ", ".join(names)
    if not name:
        raise UsageError(
            f"the manifest has several databases ({known}), and none is named for the tests",
            hint=f'name one in pytest\'s configuration: pgstead_database = "{names[0]}"',
        )
    found = next((entry for entry in manifest.databases if entry.name == name), None)
    if found is None:
        raise UsageError(
            f"the manifest has no database {name!r}, which pgstead_database names",
            hint=f"it has: {known}",
        )
    return found


def manifest_of(
    manifest: Manifest, *entries: DatabaseEntry, direct: int, pooler: int, workers: int
) -> Manifest:
    """Return the manifest of a stead for tests of these databases, on the given ports."""
    relaxed = {
        **{k: v for k, v in manifest.server.settings.items() if k.lower() not in _OF_THE_MACHINE},
        **{name: Chosen(value=value, reason="tests") for name, value in _RELAXED.items()},
        "max_connections": Chosen(value=str(max(200, _CONNECTIONS * workers * len(entries)))),
    }
    server = {"port": direct, "memory": None, "settings": relaxed}
    pooled = {"port": pooler, "settings": _pooler_settings(manifest, workers)}
    own = {"ca": "", "certificate": "", "key": "", "clients": ()}
    return manifest.model_copy(
        update={
            "environment": Environment.TEST,
            "state": "",
            "server": manifest.server.model_copy(update=server),
            "pooler": manifest.pooler.model_copy(update=pooled),
            "backup": manifest.backup.model_copy(update={"enabled": False}),
            "tls": manifest.tls.model_copy(update=own),
            "networks": Networks(),
            "databases": tuple(e.model_copy(update={"service": None}) for e in entries),
        }
    )


def _pooler_settings(manifest: Manifest, workers: int) -> dict[str, Chosen]:
    """Return the pooler's settings: the limits of the whole, times the workers of the tests."""
    chosen = dict(manifest.pooler.settings)
    for name, default in (("max_user_connections", 50), ("max_client_conn", 200)):
        given = int(chosen[name].value) if name in chosen else default
        chosen[name] = Chosen(value=str(given * workers))
    # Each test leaves an entry behind; idle ones are forgotten.
    chosen["autodb_idle_timeout"] = Chosen(value="60")
    return chosen


def facts_of(host: HostFacts) -> HostFacts:
    """Return the machine with a memory that does not depend on where tests run."""
    return replace(host, memory=_MEMORY, memory_limit=None, memory_source="for tests")


def opened(design: Design, workers: int) -> Design:
    """Return the design, open to databases whose names are not known yet."""
    names = {database.name for database in design.databases}
    rules = tuple(dict.fromkeys(_rules(design, names)))
    roles = (
        replace(role, connection_limit=role.connection_limit * workers)
        for role in design.stead.all(Role)
        if role.connection_limit > 0
    )
    return replace(
        design,
        hba=rules,
        pooler_databases=_pooled(design.pooler_databases),
        stead=design.stead.putting(*roles),
    )


def _rules(design: Design, names: set[str]) -> Iterator[HbaRule]:
    for rule in design.hba:
        yield replace(rule, database="all") if rule.database in names else rule


def _pooled(entries: tuple[PoolerDatabase, ...]) -> tuple[PoolerDatabase, ...]:
    if not entries or any(entry.name == EVERY for entry in entries):
        return entries
    return (*entries, replace(entries[0], name=EVERY))
