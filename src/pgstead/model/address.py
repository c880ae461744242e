"""What every resource has: a kind, a capability, and an address within its stead."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar


class Capability(StrEnum):
    """The capabilities of this grid; a module of the same name exists per stage."""

    SERVER = "server"
    TLS = "tls"
    ROLES = "roles"
    DATABASES = "databases"
    POOLER = "pooler"
    SCHEMA = "schema"
    MIGRATIONS = "migrations"
    TENANCY = "tenancy"
    ENCRYPTION = "encryption"
    AUDIT = "audit"
    BACKUP = "backup"
    TELEMETRY = "telemetry"
    UPKEEP = "upkeep"
    CARE = "care"


class Kind(StrEnum):
    """The kinds of resource, in the order in which they are created."""

    CLUSTER = "cluster"
    SECRET = "secret"
    KEY_RING = "key-ring"
    BACKUP_KEY = "backup-key"
    CERTIFICATE = "certificate"
    FILE = "file"
    PROCESS = "process"
    SETTING = "setting"
    OVERRIDE = "override"
    ROLE = "role"
    MEMBERSHIP = "membership"
    DATABASE = "database"
    ROLE_SETTING = "role-setting"
    SCHEMA = "schema"
    EXTENSION = "extension"
    ROUTINE = "routine"
    DEFAULT_PRIVILEGE = "default-privilege"
    GRANT = "grant"
    POOLER_SETTING = "pooler-setting"
    REVISION = "revision"
    CHANGE_HISTORY = "change-history"
    AUDITED_TABLES = "audited-tables"
    SLOT = "slot"


@dataclass(frozen=True, order=True, slots=True)
class Address:
    """The identity of a resource within its stead, e.g. `role:jeex_user`."""

    kind: Kind
    key: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.key}" if self.key else str(self.kind)


@dataclass(frozen=True, slots=True)
class Resource:
    """What every resource has: a kind, a capability, a key."""

    kind: ClassVar[Kind]
    capability: ClassVar[Capability]

    @property
    def key(self) -> str:
        """Return what is unique among the resources of this kind."""
        raise AssertionError(f"{type(self).__name__} has no key")

    @property
    def address(self) -> Address:
        """Return the identity of this resource."""
        return Address(self.kind, self.key)
