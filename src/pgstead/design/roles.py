"""Roles, memberships, settings bound to roles, secrets, and who may come from where."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from pgstead.design import budget, tls
from pgstead.design.budget import Connections
from pgstead.design.names import BACKUP, IDENT_MAP, IDLE, LOOKUP, MONITOR, SUPERUSER
from pgstead.manifest.document import DatabaseEntry, Manifest
from pgstead.manifest.quantities import written_duration
from pgstead.model.address import Resource
from pgstead.model.design import HbaRule
from pgstead.model.host import HostFacts, ServerBuild
from pgstead.model.resources import Membership, Password, Role, RoleSetting, SecretFile
from pgstead.model.standin import standin_of

_SCRAM = "scram-sha-256"


def resources(
    manifest: Manifest, build: ServerBuild, connections: Connections, *, pooled: bool
) -> Iterator[Resource]:
    """Yield roles with their secrets, memberships and settings."""
    roles = list(_roles(manifest, connections, pooled=pooled))
    yield from roles
    for role in roles:
        if role.password is Password.MATCHES:
            yield SecretFile(role.name, 0o600)
    yield from _memberships(manifest, build)
    for entry in manifest.databases:
        yield from _settings(entry)
    yield from _cluster_wide_settings(pooled=pooled)


def _login(name: str, limit: int, purpose: str, *, replication: bool = False) -> Role:
    return Role(
        name,
        login=True,
        replication=replication,
        connection_limit=limit,
        password=Password.MATCHES,
        purpose=purpose,
    )


def _roles(manifest: Manifest, connections: Connections, *, pooled: bool) -> Iterator[Role]:
    yield Role(
        SUPERUSER,
        login=True,
        superuser=True,
        createdb=True,
        createrole=True,
        replication=True,
        bypassrls=True,
        purpose="bootstrap; the 0700 socket only",
    )
    yield _login(MONITOR, budget.monitor(manifest), "reads statistics (pg_monitor)")
    yield _login(BACKUP, budget.BACKUP, "base backups and streaming WAL", replication=True)
    if pooled:
        # No limit of its own: the pooler opens look-ups within max_db_connections, and a
        # refused one would be a refused login of somebody else.
        yield _login(LOOKUP, -1, "the pooler's look-up of passwords, and nothing else")
    for entry in manifest.databases:
        yield Role(entry.owner, purpose=f"owns {entry.name}; cannot log in")
        yield _login(entry.app, connections.app_limits[entry.name], f"application of {entry.name}")
        yield _login(entry.admin, budget.ADMIN, f"maintenance of {entry.name}")
        yield _login(entry.readonly, budget.READONLY, f"reads {entry.name}")
        yield _login(entry.migrator, budget.MIGRATOR, f"migrations of {entry.name}, as its owner")


def _memberships(manifest: Manifest, build: ServerBuild) -> Iterator[Membership]:
    yield Membership("pg_monitor", MONITOR)
    if build.major >= 16:
        yield Membership("pg_use_reserved_connections", MONITOR)
    for entry in manifest.databases:
        yield Membership(entry.owner, entry.migrator)
        # so that a migration can say who is in its way, and with which statement
        yield Membership("pg_read_all_stats", entry.migrator)
        yield Membership("pg_read_all_stats", entry.admin)
        yield Membership("pg_signal_backend", entry.admin)


def _settings(entry: DatabaseEntry) -> Iterator[RoleSetting]:
    """Yield settings per role, so that nothing needs a startup parameter through the pooler."""
    times = entry.timeouts
    yield from _of(
        entry.app,
        statement_timeout=written_duration(times.statement),
        lock_timeout=written_duration(times.lock),
        idle_in_transaction_session_timeout=written_duration(times.idle_in_transaction),
        # The pooler's own idle connections would be cut (3 errors in 100): it ends its clients.
        idle_session_timeout="0",
        jit="off",  # compiling costs more than short statements take
        search_path="public",
        TimeZone="UTC",
    )
    yield from _of(
        entry.readonly,
        statement_timeout="5min",
        lock_timeout=written_duration(times.lock),
        idle_in_transaction_session_timeout=written_duration(times.idle_in_transaction),
        idle_session_timeout="0",  # pooled too
        default_transaction_read_only="on",
        search_path="public",
        TimeZone="UTC",
    )
    direct = {
        "idle_session_timeout": f"{IDLE // 60}min",
        "search_path": "public",
        "TimeZone": "UTC",
    }
    yield from _of(entry.admin, lock_timeout="10s", **direct)
    # No statement time-out: building an index takes as long as it takes (MIG-9).
    yield from _of(entry.migrator, lock_timeout="10s", **direct)
    yield RoleSetting(entry.migrator, entry.name, "role", entry.owner)


def _cluster_wide_settings(*, pooled: bool) -> Iterator[RoleSetting]:
    direct = {"idle_session_timeout": f"{IDLE // 60}min", "TimeZone": "UTC"}
    yield from _of(
        MONITOR,
        statement_timeout="10s",
        lock_timeout="1s",
        default_transaction_read_only="on",
        **direct,
    )
    yield from _of(BACKUP, **direct)
    if pooled:
        yield from _of(
            LOOKUP,
            statement_timeout="5s",
            lock_timeout="1s",
            idle_session_timeout="0",
            default_transaction_read_only="on",
            TimeZone="UTC",
        )


def _of(role: str, **settings: str) -> Iterator[RoleSetting]:
    for name, value in settings.items():
        yield RoleSetting(role, "", name, value)


def ident(host: HostFacts) -> tuple[tuple[str, str, str], ...]:
    """Return which OS users may be the superuser on the administrative socket."""
    users = dict.fromkeys([host.server_user, host.os_user])
    return tuple((IDENT_MAP, user, SUPERUSER) for user in users)


def hba(
    manifest: Manifest,
    host: HostFacts,
    build: ServerBuild,
    *,
    pooled: bool,
    backed_up: bool = False,
) -> tuple[HbaRule, ...]:
    """Return the rules of pg_hba.conf; the first match wins, the last refuses all (ROL-6)."""
    rules = [
        HbaRule(
            "local",
            "all",
            SUPERUSER,
            "",
            "peer",
            f"map={IDENT_MAP}",
            "pgstead itself, on the 0700 socket",
        ),
    ]
    if not build.tls:
        rules += _sockets(manifest, pooled=pooled, backed_up=backed_up)
    rules += [
        HbaRule("local", "all", "all", "", "reject"),
        HbaRule("local", "replication", "all", "", "reject"),
    ]
    if build.tls:
        rules += _networks(manifest, host, pooled=pooled, backed_up=backed_up)
    rules += [
        HbaRule("host", "all", "all", "all", "reject", comment="nothing else"),
        HbaRule("host", "replication", "all", "all", "reject"),
    ]
    return tuple(rules)


def _sockets(manifest: Manifest, *, pooled: bool, backed_up: bool) -> Iterator[HbaRule]:
    """Yield the pooler's way in where the build has no TLS."""
    for entry in manifest.databases:
        for role in _of_database(entry, pooled=pooled):
            yield HbaRule("local", entry.name, role, "", _SCRAM, standin=standin_of(role))
    yield HbaRule("local", "all", MONITOR, "", _SCRAM)
    yield HbaRule("local", "replication", BACKUP, "", _SCRAM)
    if backed_up:
        yield HbaRule("local", "postgres", BACKUP, "", _SCRAM)


def _of_database(entry: DatabaseEntry, *, pooled: bool) -> tuple[str, ...]:
    roles = (entry.app, entry.readonly, entry.admin, entry.migrator)
    return (*roles, LOOKUP) if pooled else roles


def _networks(
    manifest: Manifest, host: HostFacts, *, pooled: bool, backed_up: bool
) -> Iterator[HbaRule]:
    yield HbaRule(
        "host", "all", SUPERUSER, "all", "reject", comment="the superuser never comes by network"
    )
    options = "clientcert=verify-ca" if manifest.tls.client_certificates == "required" else ""
    ours = tls.near(host)
    for network in (*ours, *tls.stated(manifest, host)):
        near = network in ours
        yield from _from(network, manifest, "" if near else options, near=near, pooled=pooled)
        if near and backed_up:
            yield HbaRule("hostssl", "postgres", BACKUP, network, _SCRAM)


def _from(
    network: str, manifest: Manifest, options: str, *, near: bool, pooled: bool
) -> Iterator[HbaRule]:
    told = f"from {ipaddress.ip_network(network)}"
    for entry in manifest.databases:
        for role in _of_database(entry, pooled=pooled and near):
            standin = standin_of(role)
            yield HbaRule("hostssl", entry.name, role, network, _SCRAM, options, told, standin)
            told = ""
    yield HbaRule("hostssl", "all", MONITOR, network, _SCRAM, options)
    if near:
        yield HbaRule("hostssl", "replication", BACKUP, network, _SCRAM)
