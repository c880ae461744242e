"""The connection budget (SRV-5): who may take how many, solved or refused with the sum."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pgstead.errors import BudgetError
from pgstead.manifest.document import Chosen, DatabaseEntry, Manifest, Process
from pgstead.model.design import Budget, Share

MAX_CONNECTIONS = 200  # SRV-3, a floor
SUPERUSER_RESERVED = 5  # pgstead itself: observe, apply, and a person beside them
RESERVED = 3  # for the monitoring role (16 and newer, pg_use_reserved_connections)
CLIENT_FLOOR = 100  # POL-1
PEOPLE = 20  # clients of the pooler beyond the applications' pools: psql, tools, statistics
MIGRATOR, ADMIN = 3, 3  # direct connections per database
# Readers come by both doors. While one is at the pooler it keeps min_pool_size (5) connections of
# the role; the rest is for the direct door. PgBouncer's own limit per role ([users]) is no
# way: on 1.18 it breaks auth_query (https://github.com/pgbouncer/pgbouncer/issues/484).
READONLY = 10
MONITOR, BACKUP = 5, 3  # for the whole server, beside what the agent keeps open
LARGEST = 10_000


@dataclass(frozen=True, slots=True)
class Figures:
    """The pooler's figures (POL-1), after the manifest's choices."""

    pool: int
    reserve: int
    per_database: int
    per_user: int


@dataclass(frozen=True, slots=True)
class Connections:
    """What the budget decided."""

    budget: Budget
    figures: Figures
    max_connections: int
    superuser_reserved: int
    reserved: int
    max_client_conn: int
    clients: int  # of the applications
    servers: int  # connections that roles may open together
    app_limits: Mapping[str, int]  # connection limit of the app role, by database


def processes(entry: DatabaseEntry) -> tuple[Process, ...]:
    """Return who connects to a database: as stated, or one process."""
    if entry.processes:
        return entry.processes
    return (Process(name="api" if entry.service else "application"),)


def solve(manifest: Manifest) -> Connections:
    """Solve both sums. Raises BudgetError that shows the sum line by line."""
    figures = _figures(manifest)
    clients = tuple(share for entry in manifest.databases for share in _clients(entry))
    wanted = sum(share.count for share in clients)
    apps = {entry.name: _app_limit(entry, figures, manifest) for entry in manifest.databases}
    servers = (*_servers(manifest, figures, apps), *_cluster_wide(manifest))
    opened = sum(share.count for share in servers)
    superuser = _number(manifest.server.settings, "superuser_reserved_connections")
    superuser = SUPERUSER_RESERVED if superuser is None else superuser
    reserved = _number(manifest.server.settings, "reserved_connections")
    reserved = RESERVED if reserved is None else reserved
    kept = superuser + (reserved if manifest.server.major >= 16 else 0)
    fixed = _number(manifest.server.settings, "max_connections")
    maximum = fixed or max(MAX_CONNECTIONS, -(-(opened + kept) // 10) * 10)
    asked = _number(manifest.pooler.settings, "max_client_conn")
    pooled = manifest.pooler.enabled
    doors = asked or max(CLIENT_FLOOR, -(-(wanted + PEOPLE) // 10) * 10)
    budget = Budget(
        clients=clients,
        client_limit=doors if pooled else maximum - kept,
        client_limit_name="pooler.max_client_conn" if pooled else "max_connections - reserved",
        servers=servers,
        server_limit=maximum - kept,
    )
    _check(budget, kept, maximum, pooled=pooled)
    return Connections(
        budget, figures, maximum, superuser, kept - superuser, doors, wanted, opened, apps
    )


def _number(choices: Mapping[str, Chosen], name: str) -> int | None:
    found = choices.get(name)
    return int(found.value) if found else None


def _figures(manifest: Manifest) -> Figures:
    choices = manifest.pooler.settings

    def given(name: str, default: int) -> int:
        found = _number(choices, name)
        return default if found is None else found

    return Figures(
        given("default_pool_size", 20),
        given("reserve_pool_size", 5),
        given("max_db_connections", 50),
        given("max_user_connections", 50),
    )


def _clients(entry: DatabaseEntry) -> list[Share]:
    shares: list[Share] = []
    for process in processes(entry):
        size = process.pool_size if process.pool_size is not None else entry.pool.size
        overflow = process.max_overflow
        overflow = entry.pool.max_overflow if overflow is None else overflow
        shares.append(
            Share(
                f"{entry.name}: {process.name}",
                process.count * (size + overflow),
                f"{process.count} x (pool {size} + overflow {overflow})",
            )
        )
    return shares


def _app_limit(entry: DatabaseEntry, figures: Figures, manifest: Manifest) -> int:
    """Return how many connections the app role may have: pooled, or each process its own."""
    if manifest.pooler.enabled:
        return figures.per_database or figures.pool + figures.reserve
    return sum(share.count for share in _clients(entry))


def _servers(manifest: Manifest, figures: Figures, apps: Mapping[str, int]) -> list[Share]:
    shares: list[Share] = []
    for entry in manifest.databases:
        detail = (
            f"pool {figures.pool} + reserve {figures.reserve} per role, "
            f"at most {figures.per_database} (max_db_connections)"
            if manifest.pooler.enabled
            else "every process of the application"
        )
        shares += [
            Share(f"{entry.name}: application", apps[entry.name], detail),
            Share(f"{entry.name}: migrator", MIGRATOR, "direct"),
            Share(f"{entry.name}: admin", ADMIN, "direct"),
            Share(f"{entry.name}: readonly", READONLY, "5 through the pooler, the rest direct"),
        ]
    return shares


def monitor(manifest: Manifest) -> int:
    """Return how many sessions the monitoring role may have: the agent keeps one per database."""
    kept = 1 + len(manifest.databases) if manifest.telemetry.enabled else 0
    return MONITOR + kept


def _cluster_wide(manifest: Manifest) -> tuple[Share, ...]:
    return (
        Share("monitor", monitor(manifest), "direct"),
        Share("backup and replication", BACKUP, "direct"),
    )


def sum_as_text(shares: tuple[Share, ...], limit: int, name: str) -> str:
    """Return a sum, one line per share, and the limit below it."""
    width = max(len(share.who) for share in shares)
    lines = [
        f"  {share.who:<{width}}  {share.count:>5}  {share.detail}".rstrip() for share in shares
    ]
    total = sum(share.count for share in shares)
    return "\n".join([*lines, f"  {'sum':<{width}}  {total:>5}  of {limit} ({name})"])


def _check(budget: Budget, kept: int, maximum: int, *, pooled: bool) -> None:
    wanted = sum(share.count for share in budget.clients)
    opened = sum(share.count for share in budget.servers)
    if maximum > LARGEST:
        raise BudgetError(
            f"the connections do not add up: {maximum} server connections are beyond reason\n"
            + sum_as_text(budget.servers, budget.server_limit, budget.server_limit_name),
            hint="put the pooler in front (pooler.enabled = true), or make the pools smaller",
            key="server.settings.max_connections",
        )
    if wanted > budget.client_limit:
        key = "pooler.settings.max_client_conn" if pooled else "server.settings.max_connections"
        raise BudgetError(
            "the connections of the applications do not add up\n"
            + sum_as_text(budget.clients, budget.client_limit, budget.client_limit_name),
            hint=f"raise {key} to {wanted if pooled else wanted + kept} or more, or make pools, "
            "overflow or process counts smaller"
            + ("" if pooled else ", or put the pooler in front (pooler.enabled = true)"),
            key=key,
        )
    if opened > budget.server_limit:
        raise BudgetError(
            f"the connections to the server do not add up ({kept} of {maximum} are reserved)\n"
            + sum_as_text(budget.servers, budget.server_limit, budget.server_limit_name),
            hint=f"raise server.settings.max_connections to {opened + kept} or more, or make "
            "pooler.settings.max_db_connections smaller",
            key="server.settings.max_connections",
        )
