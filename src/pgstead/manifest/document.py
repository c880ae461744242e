"""The manifest: what the user writes, as frozen models. Unknown keys are refused."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal, cast

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    WithJsonSchema,
)
from pydantic import model_validator as validator

from pgstead.manifest import names, schedules
from pgstead.manifest.alerts import Alerts
from pgstead.manifest.at_rest import AtRest
from pgstead.manifest.audit import Audit, AuditedClass, History
from pgstead.manifest.care import Care
from pgstead.manifest.containers import Containers
from pgstead.manifest.mirror import S3
from pgstead.manifest.part import Part
from pgstead.manifest.quantities import Duration, Port, Size, Switch, Whole
from pgstead.manifest.rotation import Rotation
from pgstead.manifest.telemetry import Telemetry
from pgstead.manifest.upkeep import Upkeep
from pgstead.model.design import Environment

Name = Annotated[str, AfterValidator(names.checked)]
RoleName = Annotated[str, AfterValidator(names.checked_or_empty)]
Schedule = Annotated[str, AfterValidator(schedules.checked)]
Target = Annotated[str, Field(pattern=r"^([A-Za-z_][\w.]*(:[A-Za-z_]\w*)?)?$")]


def _scalar(value: object) -> object:
    """Accept `work_mem = "32MB"` beside `work_mem = { value = "32MB", reason = "..." }`."""
    if isinstance(value, bool):
        return {"value": "on" if value else "off"}
    if isinstance(value, (str, int, float)):
        return {"value": str(value)}
    if isinstance(value, dict):
        told = cast("dict[str, object]", value)
        inner = _scalar(told.get("value"))
        return {**told, **cast("dict[str, object]", inner)} if isinstance(inner, dict) else told
    return value


class Chosen(Part):
    """A value that the user chose over the derived one."""

    value: str = Field(description="The value, as PostgreSQL or PgBouncer writes it.")
    reason: str = Field(default="", description="Why; production requires it.")


_SCALAR: dict[str, Any] = {"type": ["string", "number", "boolean"]}
_WRITTEN: dict[str, Any] = {
    "anyOf": [
        _SCALAR,
        {
            "type": "object",
            "description": Chosen.__doc__,
            "properties": {"value": _SCALAR, "reason": {"type": "string"}},
            "required": ["value"],
            "additionalProperties": False,
        },
    ]
}
Settings = dict[str, Annotated[Chosen, BeforeValidator(_scalar), WithJsonSchema(_WRITTEN)]]


class Server(Part):
    """The PostgreSQL server."""

    major: Annotated[Whole, Field(ge=15, le=18)] = Field(
        default=18, description="Major version: 15-18."
    )
    port: Port = Field(default=5432, description="The direct port.")
    bindir: str = Field(default="", description="Directory of initdb and postgres; empty: found.")
    user: str = Field(
        default="", description="OS user that runs the servers, as root; empty: found."
    )
    memory: Size | None = Field(
        default=None, description='Upper bound, e.g. "8GB"; else the machine\'s.'
    )
    cpus: Annotated[float, Field(gt=0, le=4096)] | None = Field(
        default=None, description="CPUs to reckon with; else the machine's."
    )
    storage: Literal["nvme", "ssd", "network", "hdd"] = Field(
        default="ssd", description="What the data lies on: planner costs and I/O depth follow."
    )
    workload: Literal["oltp", "mixed", "analytics"] = Field(
        default="oltp", description="Many small statements, few large ones, or both."
    )
    slow_statement: Duration = Field(
        default=1.0, description="Statements slower than this are logged."
    )
    settings: Settings = Field(
        default_factory=dict, description="Settings chosen over the derived ones."
    )


class Tls(Part):
    """Certificates: pgstead's own, or the user's."""

    ca: str = Field(default="", description="Path of the user's CA certificate (PEM).")
    certificate: str = Field(default="", description="Path of the user's server certificate (PEM).")
    key: str = Field(default="", description="Path of its private key (PEM).")
    hostnames: tuple[str, ...] = Field(
        default=(), description="Further names that clients connect to."
    )
    client_certificates: Literal["optional", "required"] = Field(
        default="optional", description="Whether clients must show a certificate of the CA."
    )
    clients: tuple[Name, ...] = Field(
        default=(), description="Client certificates to issue, by name."
    )


class Networks(Part):
    """Where clients may come from. Everything else is refused. Loopback is always served."""

    allow: tuple[Annotated[str, AfterValidator(names.network)], ...] = Field(
        default=("127.0.0.1/32", "::1/128"), description="Networks (CIDR) that may connect."
    )
    listen: tuple[Annotated[str, AfterValidator(names.address)], ...] = Field(
        default=(),
        description="Addresses to listen on beside loopback; needed for further networks.",
    )


class Pooler(Part):
    """PgBouncer in front of the server."""

    enabled: Switch = Field(default=True, description="False: applications connect directly.")
    port: Port = Field(default=6432, description="The pooled port.")
    binary: str = Field(default="", description="Path of pgbouncer; empty: found.")
    settings: Settings = Field(
        default_factory=dict, description="PgBouncer settings chosen over the derived ones."
    )


class Pool(Part):
    """The connection pool inside each process of an application (APP-1)."""

    size: Annotated[Whole, Field(ge=1, le=1000)] = Field(
        default=20, description="Connections kept."
    )
    max_overflow: Annotated[Whole, Field(ge=0, le=1000)] = Field(
        default=10, description="Further connections under load."
    )
    timeout: Annotated[Duration, Field(gt=0, le=3600)] = Field(
        default=5.0, description="How long a request waits for a connection."
    )
    recycle: Annotated[Duration, Field(ge=1)] | None = Field(
        default=None,
        description="Age at which a connection is replaced; else 30min, 14min when pooled.",
    )


class Process(Part):
    """A kind of process that connects to the database; the connection budget counts it."""

    name: Name = Field(description="What it is, e.g. api or worker.")
    count: Annotated[Whole, Field(ge=1, le=10000)] = Field(default=1, description="How many run.")
    pool_size: Annotated[Whole, Field(ge=1, le=1000)] | None = Field(
        default=None, description="Its own pool size; else that of the database's pool."
    )
    max_overflow: Annotated[Whole, Field(ge=0, le=1000)] | None = Field(
        default=None, description="Its own overflow; else that of the database's pool."
    )


class Service(Part):
    """An HTTP service that `up` runs beside the database."""

    application: Target = Field(description='Import path, e.g. "orders.api:create_app".')
    host: Annotated[str, AfterValidator(names.address)] = Field(
        default="127.0.0.1", description="Address to listen on."
    )
    port: Port = Field(description="Port to listen on.")
    directory: str = Field(
        default=".", description="Where it is imported from, beside the manifest."
    )


class Timeouts(Part):
    """Time-outs of the application role (SRV-8); "0s" switches one off."""

    statement: Duration = Field(default=30.0, description="A statement of the application.")
    lock: Duration = Field(default=5.0, description="Waiting for a lock.")
    idle_in_transaction: Duration = Field(
        default=60.0, description="An open transaction doing nothing."
    )


class DatabaseEntry(Part):
    """A database, its roles, and the application that uses it."""

    name: Name = Field(description="Name of the database.")
    encoding: Literal["UTF8"] = Field(default="UTF8", description="UTF8 only (ROL-3).")
    collation: str = Field(default="C.UTF-8", min_length=1, description="Locale that sorts.")
    owner: RoleName = Field(default="", description="Owns everything, cannot log in; <name>_owner.")
    app: RoleName = Field(default="", description="The application's role; <name>_app.")
    admin: RoleName = Field(default="", description="Maintenance; <name>_admin.")
    readonly: RoleName = Field(default="", description="Reads only; <name>_readonly.")
    migrator: RoleName = Field(default="", description="Runs migrations; <name>_migrator.")
    extensions: tuple[Name, ...] = Field(default=(), description="Extensions beside ours.")
    models: Target = Field(default="", description='Metadata, e.g. "orders.models:Base".')
    migrations: str = Field(
        default="", description="Directory with alembic.ini, beside the manifest."
    )
    sample: Target = Field(default="", description="Module of the sample data.")
    load: Target = Field(default="", description="Module of the requests of `pgstead bench`.")
    files: str = Field(
        default="", description="Directory of the files that rows name, beside the manifest."
    )
    prefix: Annotated[str, Field(pattern=r"^([A-Z][A-Z0-9_]*_)?$")] = Field(
        default="", description='Prefix of its environment variables, e.g. "ORDERS_"; <NAME>_.'
    )
    pool: Pool = Field(default_factory=Pool, description="The pool per process.")
    processes: tuple[Process, ...] = Field(default=(), description="Who connects; else one.")
    timeouts: Timeouts = Field(default_factory=Timeouts, description="Of the application role.")
    service: Service | None = Field(default=None, description="An HTTP service to run.")
    history: History = Field(default_factory=History, description="Changes of rows that are kept.")
    audit: tuple[AuditedClass, ...] = Field(
        default=(), description="Classes of tables whose use is recorded, whoever uses them."
    )

    @property
    def imported_from(self) -> str:
        """Where its models and sample are imported from, beside the manifest: as its service."""
        return self.service.directory if self.service is not None else "."

    @validator(mode="before")
    @classmethod
    def _named(cls, given: object) -> object:
        """Derive the names of the roles that are not given from the database's name."""
        if not isinstance(given, dict):
            return given  # pyright: ignore[reportUnknownVariableType]
        told = cast("dict[str, object]", given)
        name = told.get("name")
        if not isinstance(name, str) or names.problem(name):
            return told
        roles = ("owner", "app", "admin", "readonly", "migrator")
        derived = {role: names.derived(name, role) for role in roles}
        if "prefix" not in told:
            derived["prefix"] = names.prefix(name)
        kept = {key: value for key, value in told.items() if value != "" or key not in derived}
        return {**derived, **kept}


class Drill(Part):
    """A restore of the newest backup, in a place of its own, that is asked questions."""

    schedule: Schedule = Field(default="30 3 * * *", description="When (cron, UTC).")
    max_age: Duration = Field(
        default=172_800.0, description="A last drill that passed and is older is too old."
    )


class Export(Part):
    """A logical dump of each database, which other versions of PostgreSQL can read (BAK-5)."""

    schedule: Schedule | Literal[""] = Field(
        default="", description="When (cron, UTC); empty: only by `pgstead backup export`."
    )
    directory: str = Field(
        default="", description="Where they lie; else backup/exports in the state."
    )
    kept: Annotated[Duration, Field(ge=86_400)] = Field(
        default=2_592_000.0, description="How long they are kept; whole days."
    )
    max_age: Duration = Field(
        default=172_800.0, description="With a schedule, a last dump that is older is too old."
    )


class Backup(Part):
    """Base backups, streaming WAL, and restores that prove them (BAK-1 to BAK-4)."""

    enabled: Switch = Field(default=True, description="False: no backups at all.")
    directory: str = Field(
        default="",
        description="Where they lie, best on another device; else backup/repository in the state.",
    )
    schedule: Schedule = Field(
        default="0 2 * * *", description="When a base backup is made (cron, UTC)."
    )
    incremental: Schedule | Literal[""] = Field(
        default="",
        description="When an incremental one is made; needs 17 or newer and no encryption.",
    )
    retention: Annotated[Duration, Field(ge=86_400)] = Field(
        default=2_592_000.0, description="How far back any moment can be recovered; whole days."
    )
    minimum: Annotated[Whole, Field(ge=1, le=1000)] = Field(
        default=2, description="Base backups that are kept whatever their age."
    )
    max_age: Duration = Field(
        default=129_600.0, description="A last base backup that is older is too old."
    )
    rate_limit: Size | Literal["auto", "none"] = Field(
        default="auto",
        description='Bytes a second that a base backup reads; "auto": 16 MB for each CPU, '
        '4 MB where nobody waits for it; "none".',
    )
    compression: Literal["zstd", "lz4", "gzip", "none"] = Field(
        default="zstd", description="Of base backups and WAL."
    )
    encryption: Switch = Field(
        default=True, description="AES-256; false needs a waiver: backup-encryption."
    )
    passphrase_file: str = Field(
        default="",
        description="The passphrase of the key, brought by the user; else one is made.",
    )
    s3: S3 | None = Field(default=None, description="A copy in object storage; else none.")
    drill: Drill = Field(default_factory=Drill, description="Restores on a schedule.")
    export: Export = Field(default_factory=Export, description="Logical dumps.")


class Migrations(Part):
    """What must hold before migrations run in production (MIG-6)."""

    rehearsal_age: Annotated[Duration, Field(gt=0)] = Field(
        default=7 * 86400.0, description="How old the rehearsal of the same texts may be."
    )
    backup_age: Annotated[Duration, Field(gt=0)] = Field(
        default=86400.0, description="How old the last verified base backup may be."
    )


class Waive(Part):
    """A default or promise that the user weakens, by signature."""

    what: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*$")] = Field(
        description="What is waived: a promise, or what a message names."
    )
    reason: Annotated[str, Field(min_length=1)] = Field(description="Why.")
    expires: date | None = Field(
        default=None, description="Last day (ISO); production requires it."
    )


class Manifest(Part):
    """Describe one foundation: server, pooler, databases and who may use them."""

    version: Literal[1] = Field(description="Version of this format: 1.")
    name: Name = Field(description="Name of the stead.")
    environment: Environment = Field(
        default=Environment.DEVELOPMENT, description="development, test, staging or production."
    )
    state: str = Field(
        default="", description="State directory; else .pgstead beside the manifest."
    )
    server: Server = Field(default_factory=Server)
    tls: Tls = Field(default_factory=Tls)
    networks: Networks = Field(default_factory=Networks)
    pooler: Pooler = Field(default_factory=Pooler)
    databases: Annotated[tuple[DatabaseEntry, ...], Field(min_length=1)] = Field(
        description="At least one database."
    )
    backup: Backup = Field(default_factory=Backup)
    migrations: Migrations = Field(default_factory=Migrations)
    telemetry: Telemetry = Field(default_factory=Telemetry)
    containers: Containers = Field(default_factory=Containers)
    alerts: Alerts = Field(default_factory=Alerts)
    audit: Audit = Field(default_factory=Audit)
    rotation: Rotation = Field(default_factory=Rotation)
    at_rest: AtRest = Field(default_factory=AtRest)
    upkeep: Upkeep = Field(default_factory=Upkeep)
    care: Care = Field(default_factory=Care)
    waive: tuple[Waive, ...] = Field(default=(), description="What is weakened, by signature.")

    def waives(self, what: str) -> bool:
        """Say whether something is waived; expired waivers are refused when loading."""
        return any(waiver.what == what for waiver in self.waive)
