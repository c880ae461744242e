"""The resources of a stead: what can be wanted, and what can be found.

Wanted and found are the same types, so that a difference is a comparison of values
(docs/adr/0002). Fields with `compare=False` explain or display; they never make a difference.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar

from pgstead.model.address import Capability, Kind, Resource


@dataclass(frozen=True, slots=True)
class Cluster(Resource):
    """The data directory, as initdb made it. Nothing of it can be altered in place."""

    kind = Kind.CLUSTER
    capability = Capability.SERVER
    major: int
    checksums: bool
    encoding: str
    locale_provider: str  # "builtin" on 17 and newer, "libc" before
    locale: str  # "C.UTF-8"
    stead_id: str

    @property
    def key(self) -> str:
        return ""


@dataclass(frozen=True, slots=True)
class SecretFile(Resource):
    """A file that holds a password or a private key. Its value never enters the model."""

    kind = Kind.SECRET
    capability = Capability.ROLES
    name: str  # "role/jeex_user"
    mode: int  # 0o600

    @property
    def key(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Certificate(Resource):
    """A certificate with its key, as far as it can be judged without the key's value."""

    kind = Kind.CERTIFICATE
    capability = Capability.TLS
    name: str  # "ca", "server", "pooler", "client/NAME"
    names: tuple[str, ...]  # DNS names and addresses, sorted; empty for the CA
    issued_by_ca: bool = True  # chains up to the stead's (or the user's) CA
    key_matches: bool = True
    in_date: bool = True  # not expired, already valid, and not within the renewal window
    provided: bool = False  # brought by the user; never replaced by us
    not_after: str = field(default="", compare=False)  # ISO 8601

    @property
    def key(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class ConfigFile(Resource):
    """A configuration file that pgstead writes whole. Carries no secret."""

    kind = Kind.FILE
    capability: ClassVar[Capability] = Capability.SERVER
    name: str  # relative to the state directory: "server/pgstead.conf"
    text: str
    mode: int = 0o644

    @property
    def key(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class PoolerFile(ConfigFile):
    """A configuration file of the pooler."""

    capability: ClassVar[Capability] = Capability.POOLER


@dataclass(frozen=True, slots=True)
class ConnectionFile(ConfigFile):
    """What an application of one database reads: doors, CA, passfiles, figures."""

    capability: ClassVar[Capability] = Capability.DATABASES


@dataclass(frozen=True, slots=True)
class BackupFile(ConfigFile):
    """A configuration file of Barman."""

    capability: ClassVar[Capability] = Capability.BACKUP


@dataclass(frozen=True, slots=True)
class BackupKey(Resource):
    """The key pair that backups are encrypted with, and the directory that they lie in."""

    kind = Kind.BACKUP_KEY
    capability = Capability.BACKUP
    repository: str  # where the key lies beside what it opens; its passphrase lies elsewhere
    mode: int  # of the repository: 0o700
    encrypted: bool  # there is a key pair

    @property
    def key(self) -> str:
        return ""


@dataclass(frozen=True, slots=True)
class ReplicationSlot(Resource):
    """What keeps the server from removing WAL that has not been taken away yet."""

    kind = Kind.SLOT
    capability = Capability.BACKUP
    name: str
    slot_type: str = "physical"
    lost: bool = False  # WAL that it stood for is gone (max_slot_wal_keep_size)

    @property
    def key(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class ServerProcess(Resource):
    """A supervised program and whether it runs with the configuration of its kind."""

    kind = Kind.PROCESS
    capability = Capability.SERVER
    name: str  # "postgres", "pgbouncer", "api-jeex_idea"
    running: bool
    program: str = ""  # digest of command, user and environment, so that a change restarts it

    @property
    def key(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Setting(Resource):
    """A server setting as the running server has it."""

    kind = Kind.SETTING
    capability = Capability.SERVER
    name: str
    value: str  # canonical: what pg_settings.setting shows, in the setting's base unit
    display: str = field(default="", compare=False)  # "16MB"
    context: str = field(default="", compare=False)  # pg_settings.context

    @property
    def key(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Override(Resource):
    """A value set beside the design: ALTER SYSTEM, or a line in postgresql.conf. Never wanted."""

    kind = Kind.OVERRIDE
    capability = Capability.SERVER
    name: str
    value: str
    origin: str  # "ALTER SYSTEM", "postgresql.conf:12", "ALTER DATABASE x"

    @property
    def key(self) -> str:
        return f"{self.origin}/{self.name}"


class Password(StrEnum):
    """What is known of a role's password, without its value."""

    NONE = "none"
    MATCHES = "scram, as in its secret file"
    DIFFERS = "scram, not the one in its secret file"
    WEAK = "md5 or plain"


@dataclass(frozen=True, slots=True)
class Role(Resource):
    """A role of the cluster."""

    kind = Kind.ROLE
    capability = Capability.ROLES
    name: str
    login: bool = False
    superuser: bool = False
    createdb: bool = False
    createrole: bool = False
    replication: bool = False
    bypassrls: bool = False
    inherit: bool = True
    connection_limit: int = -1
    valid_until: str = ""  # ISO 8601 UTC; empty: for ever
    password: Password = Password.NONE
    purpose: str = field(default="", compare=False)

    @property
    def key(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Membership(Resource):
    """A role that is a member of another."""

    kind = Kind.MEMBERSHIP
    capability = Capability.ROLES
    role: str
    member: str
    admin: bool = False
    inherit: bool = True  # 16 and newer; before, the member's INHERIT
    set: bool = True  # 16 and newer

    @property
    def key(self) -> str:
        return f"{self.role}/{self.member}"


@dataclass(frozen=True, slots=True)
class RoleSetting(Resource):
    """A setting bound to a role (ALTER ROLE ... [IN DATABASE ...] SET)."""

    kind = Kind.ROLE_SETTING
    capability = Capability.ROLES
    role: str  # empty: ALTER DATABASE ... SET
    database: str  # empty: in every database
    name: str
    value: str

    @property
    def key(self) -> str:
        return f"{self.role}/{self.database}/{self.name}"


@dataclass(frozen=True, slots=True)
class Database(Resource):
    """A database and what CREATE DATABASE fixed."""

    kind = Kind.DATABASE
    capability = Capability.DATABASES
    name: str
    owner: str
    encoding: str = "UTF8"
    locale_provider: str = "builtin"
    locale: str = "C.UTF-8"
    connection_limit: int = -1
    allow_connections: bool = True

    @property
    def key(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Schema(Resource):
    """A schema of a database."""

    kind = Kind.SCHEMA
    capability = Capability.DATABASES
    database: str
    name: str
    owner: str

    @property
    def key(self) -> str:
        return f"{self.database}/{self.name}"


@dataclass(frozen=True, slots=True)
class Extension(Resource):
    """An extension of a database."""

    kind = Kind.EXTENSION
    capability = Capability.DATABASES
    database: str
    name: str

    @property
    def key(self) -> str:
        return f"{self.database}/{self.name}"


@dataclass(frozen=True, slots=True)
class Routine(Resource):
    """A function that pgstead itself keeps, e.g. the pooler's look-up."""

    kind = Kind.ROUTINE
    capability = Capability.POOLER
    database: str
    signature: str  # "pgstead.pooler_lookup(text)"
    owner: str
    source: str  # prosrc, stripped
    security_definer: bool
    settings: tuple[str, ...]  # proconfig, sorted: ("search_path=pg_catalog, pg_temp",)

    @property
    def key(self) -> str:
        return f"{self.database}/{self.signature}"


@dataclass(frozen=True, slots=True)
class Grant(Resource):
    """What one grantee may do with one object; `privileges` sorted, grant options marked `*`."""

    kind = Kind.GRANT
    capability = Capability.DATABASES
    database: str
    object_type: str  # database, schema, table, sequence, function
    object_name: str  # "public.users"; the database's own name for object_type database
    grantee: str  # "PUBLIC" for everyone
    privileges: tuple[str, ...]

    @property
    def key(self) -> str:
        return f"{self.database}/{self.object_type}/{self.object_name}/{self.grantee}"


@dataclass(frozen=True, slots=True)
class DefaultPrivilege(Resource):
    """ALTER DEFAULT PRIVILEGES FOR ROLE owner [IN SCHEMA schema] GRANT ... TO grantee."""

    kind = Kind.DEFAULT_PRIVILEGE
    capability = Capability.DATABASES
    database: str
    owner: str
    schema: str  # empty: everywhere in the database
    object_type: str  # tables, sequences, functions, types, schemas
    grantee: str
    privileges: tuple[str, ...]

    @property
    def key(self) -> str:
        return f"{self.database}/{self.owner}/{self.schema}/{self.object_type}/{self.grantee}"


@dataclass(frozen=True, slots=True)
class PoolerSetting(Resource):
    """A setting of the running PgBouncer (SHOW CONFIG)."""

    kind = Kind.POOLER_SETTING
    capability = Capability.POOLER
    name: str
    value: str
    reloadable: bool = field(default=True, compare=False)

    @property
    def key(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Revision(Resource):
    """The migration revisions that a database is at (alembic_version), sorted."""

    kind = Kind.REVISION
    capability = Capability.SCHEMA
    database: str
    heads: tuple[str, ...]

    @property
    def key(self) -> str:
        return self.database


@dataclass(frozen=True, slots=True)
class ChangeHistory(Resource):
    """The change history of a database: its functions, and the triggers that feed it."""

    kind = Kind.CHANGE_HISTORY
    capability = Capability.AUDIT
    database: str
    for_rows: str  # prosrc of the function of row triggers, stripped
    for_statements: str  # the same of statement triggers
    unfed: tuple[str, ...] = ()  # tables that ought to feed it as they should, and do not
    surplus: tuple[str, ...] = ()  # tables that feed it, and ought not to

    @property
    def key(self) -> str:
        return self.database
