"""Design: the wanted stead, and all that explains it or that files are rendered from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from pgstead.model.alerts import AlertPlan
from pgstead.model.at_rest import AtRestPlan
from pgstead.model.audit import AuditPlan
from pgstead.model.backup import BackupPlan
from pgstead.model.care import CarePlan
from pgstead.model.host import HostFacts, PoolerBuild, ServerBuild
from pgstead.model.layout import Layout
from pgstead.model.rotation import RotationPlan
from pgstead.model.stead import Stead
from pgstead.model.telemetry import TelemetryPlan
from pgstead.model.upkeep import UpkeepPlan

# compared, not bound
_ALL = MappingProxyType({"*": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"})  # noqa: S104


def here(host: str) -> str:
    """Return an address of this machine for one that stands for all of them."""
    return _ALL.get(host, host)


class Environment(StrEnum):
    """SRV-13."""

    DEVELOPMENT = "development"
    TEST = "test"
    STAGING = "staging"
    PRODUCTION = "production"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a derived value is what it is; what `pgstead explain` prints."""

    name: str  # "server.work_mem"
    value: str  # "16MB"
    formula: str  # "(limit - shared_buffers - ...) / (...)"
    inputs: Mapping[str, str]  # {"memory": "12 GiB (50 % of ...)", ...}
    source: str  # a manual page, a requirement id, or the manifest's key


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that the user should know: a gap of a version, a floor not reached, a waiver."""

    code: str  # "pooler-no-prepared-statements"
    text: str
    hint: str = ""
    severity: str = "note"  # note, warning


@dataclass(frozen=True, slots=True)
class HbaRule:
    """One line of pg_hba.conf."""

    type: str  # local, hostssl
    database: str
    user: str
    address: str  # empty for local
    method: str
    options: str = ""
    comment: str = ""
    standin: str = ""  # may come as well, while the user's password is changed


@dataclass(frozen=True, slots=True)
class PoolerDatabase:
    """One entry of PgBouncer's [databases]."""

    name: str
    pool_size: int
    reserve_pool: int
    max_connections: int
    auth_user: str = ""  # looks passwords up, where that is not one role for all and the console


@dataclass(frozen=True, slots=True)
class Program:
    """A supervised program. The command is a list; no argument carries a secret."""

    name: str  # "postgres", "pgbouncer", "api-jeex_idea"
    kind: str  # "postgres", "pgbouncer", "service", "archiver", "agent"
    command: tuple[str, ...]
    user: str
    environment: Mapping[str, str]
    directory: str
    priority: int
    stop_signal: str  # INT for postgres (fast), QUIT for PgBouncer
    stop_seconds: int = 60

    @property
    def digest(self) -> str:
        """Identify the program as it is started: another digest means a restart."""
        told = (self.name, self.kind, self.command, self.user, sorted(self.environment.items()))
        return hashlib.sha256(repr((*told, self.directory)).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Door:
    """A place to connect to."""

    name: str  # "direct", "pooler", "api"
    hosts: tuple[str, ...]  # addresses listened on; the first one is advertised
    port: int
    tls: bool

    @property
    def here(self) -> str:
        """Its address for who is on the same machine."""
        return here(self.hosts[0])


@dataclass(frozen=True, slots=True)
class Share:
    """One line of a budget: who may take how many."""

    who: str
    count: int
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Budget:
    """The connection budget (SRV-5): two sums, each with its limit."""

    clients: tuple[Share, ...]  # of the applications, against client_limit
    client_limit: int
    client_limit_name: str  # "pooler.max_client_conn"
    servers: tuple[Share, ...]  # connections to the server, against server_limit
    server_limit: int  # max_connections - reserved
    server_limit_name: str = "max_connections - reserved"


@dataclass(frozen=True, slots=True)
class Service:
    """An HTTP service that is mounted beside a database."""

    name: str  # "jeex_idea"
    database: str
    application: str  # "systems.jeex_idea.api:create_app"
    host: str
    port: int
    prefix: str  # "JEEX_"

    @property
    def here(self) -> str:
        """Its address for who is on the same machine."""
        return here(self.host)


@dataclass(frozen=True, slots=True)
class DatabasePlan:
    """A database with the names of its roles and the figures of its applications."""

    name: str
    owner: str
    app: str
    admin: str
    migrator: str
    readonly: str
    extensions: tuple[str, ...]
    migrations: str  # directory with alembic.ini, relative to the manifest; empty for none
    models: str  # import path of the metadata, empty for none
    sample: str  # import path of the sample data, empty for none
    imported_from: str  # directory of both, relative to the manifest
    pool_size: int
    max_overflow: int
    pool_timeout: float  # seconds
    pool_recycle: int  # seconds
    prefix: str  # of environment variables
    heads: tuple[str, ...] = ()  # revisions that the migrations lead to
    files: str = ""  # directory of the files that its rows name, relative to the manifest


@dataclass(frozen=True, slots=True)
class Waiver:
    """A promise or a default that the user weakened, by signature."""

    what: str
    reason: str
    expires: str  # ISO date


@dataclass(frozen=True)
class Design:
    """All that a manifest means on this machine. `stead` is what will be compared with found."""

    name: str
    stead_id: str
    environment: Environment
    stead: Stead
    layout: Layout
    host: HostFacts
    build: ServerBuild
    pooler: PoolerBuild | None
    doors: tuple[Door, ...]
    databases: tuple[DatabasePlan, ...]
    services: tuple[Service, ...]
    settings: Mapping[str, str]  # server settings for pgstead.conf, as written ("16MB")
    initial: Mapping[str, str]  # what initdb and the bootstrap need
    hba: tuple[HbaRule, ...]
    ident: tuple[tuple[str, str, str], ...]  # (map, os user, role)
    pooler_settings: Mapping[str, str]
    pooler_databases: tuple[PoolerDatabase, ...]
    programs: tuple[Program, ...]
    budget: Budget
    reasons: Mapping[str, Reason]
    notices: tuple[Notice, ...] = ()
    waivers: tuple[Waiver, ...] = ()
    superuser: str = "postgres"
    lookup_role: str = "pgstead_pooler"
    monitor_role: str = "pgstead_monitor"
    backup_role: str = "pgstead_backup"
    networks: tuple[str, ...] = field(default=())
    # PgBouncer's own access rules (auth_hba_file); empty where only loopback is served.
    pooler_hba: tuple[HbaRule, ...] = ()
    backup: BackupPlan | None = None  # None: no backups are made
    telemetry: TelemetryPlan | None = None  # None: nothing is watched
    alerts: AlertPlan | None = None  # None: nothing is watched, or nobody wants to know
    audit: AuditPlan | None = None  # None: nothing is audited but what the server always logs
    rotation: RotationPlan = field(default_factory=RotationPlan)
    at_rest: AtRestPlan = field(default_factory=AtRestPlan)
    upkeep: UpkeepPlan | None = None  # None only where nobody designed it
    care: CarePlan = field(default_factory=CarePlan)

    @property
    def auth_file_roles(self) -> tuple[str, ...]:
        """The roles whose passwords PgBouncer keeps itself; never an application's (POL-2).

        Before 1.19 there is no auth_dbname, and a login at the console is looked up nowhere:
        the monitor could never read statistics (POL-3).
        """
        if self.pooler is None:
            return ()
        alone = self.pooler.version >= (1, 19, 0)
        return (self.lookup_role,) if alone else (self.lookup_role, self.monitor_role)

    def door(self, name: str) -> Door | None:
        """Return the door of that name, or None where this stead has none."""
        return next((d for d in self.doors if d.name == name), None)

    def database(self, name: str) -> DatabasePlan | None:
        """Return the database of that name."""
        return next((d for d in self.databases if d.name == name), None)
