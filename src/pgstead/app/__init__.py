"""The library that applications import: `from pgstead.app import Database, Encrypted, Service`.

Importing this package imports nothing else; each name brings its own module when it is asked for,
so that models need no HTTP and a script needs no FastAPI. docs/reference/application.md lists them.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from types import MappingProxyType

TYPE_CHECKING = False  # type checkers know the name; `typing` is not needed here
if TYPE_CHECKING:
    from pgstead.app.breaker import Breaker
    from pgstead.app.degraded import cacheable, degradable
    from pgstead.app.encryption import (
        Encrypted,
        EncryptionError,
        ErasedError,
        KeyringError,
        Keys,
        NotSealedError,
        PersonKeyError,
        TamperedError,
        UnknownKeyError,
        UnknownPlaceError,
        UnsealedError,
        attach,
        blind_index_column,
        blind_match,
        encrypted_column,
        keys_of,
        place_of,
        seal_rows,
        sealed_check,
    )
    from pgstead.app.engine import Database, PoolState
    from pgstead.app.errors import (
        AccessDeniedError,
        AgainError,
        BreakerOpenError,
        CheckError,
        CommitUnknownError,
        ConstraintError,
        DatabaseError,
        ExclusionError,
        ForeignKeyError,
        ForeignRowError,
        LoginRefusedError,
        LostUpdateError,
        NotCommittedError,
        NotNullError,
        PoolerMisfitError,
        PoolExhaustedError,
        ReadOnlyServerError,
        ResourcesError,
        SchemaMismatchError,
        StalePlanError,
        StillReferencedError,
        TooSlowError,
        UnavailableError,
        UniqueError,
        ValueRefusedError,
    )
    from pgstead.app.identifiers import uuid7
    from pgstead.app.integrity import Names, Numbered
    from pgstead.app.models import (
        NAMING_CONVENTION,
        TYPES,
        JsonObject,
        Keyed,
        Stamped,
        one_of,
        status_column,
    )
    from pgstead.app.partitions import Partitioned
    from pgstead.app.personal import Classified
    from pgstead.app.problems import Problem
    from pgstead.app.resilience import repeatable
    from pgstead.app.resources import Access, Resource, routes
    from pgstead.app.retention import Retained
    from pgstead.app.role_guard import PrivilegedRoleError
    from pgstead.app.rows import Row
    from pgstead.app.scope import (
        AutocommitError,
        Scope,
        ScopeChangedError,
        ScopeError,
        ScopeInvalidError,
        UnscopedError,
    )
    from pgstead.app.service import Service
    from pgstead.app.shapes import In, Out
    from pgstead.app.sync import SyncDatabase
    from pgstead.app.tenancy import RowSecurity, TenantScoped, objections
    from pgstead.app.transactions import Session, scoped
    from pgstead.app.views import View

__all__ = [
    "NAMING_CONVENTION",
    "TYPES",
    "Access",
    "AccessDeniedError",
    "AgainError",
    "AutocommitError",
    "Breaker",
    "BreakerOpenError",
    "CheckError",
    "Classified",
    "CommitUnknownError",
    "ConstraintError",
    "Database",
    "DatabaseError",
    "Encrypted",
    "EncryptionError",
    "ErasedError",
    "ExclusionError",
    "ForeignKeyError",
    "ForeignRowError",
    "In",
    "JsonObject",
    "Keyed",
    "KeyringError",
    "Keys",
    "LoginRefusedError",
    "LostUpdateError",
    "Names",
    "NotCommittedError",
    "NotNullError",
    "NotSealedError",
    "Numbered",
    "Out",
    "Partitioned",
    "PersonKeyError",
    "PoolExhaustedError",
    "PoolState",
    "PoolerMisfitError",
    "PrivilegedRoleError",
    "Problem",
    "ReadOnlyServerError",
    "Resource",
    "ResourcesError",
    "Retained",
    "Row",
    "RowSecurity",
    "SchemaMismatchError",
    "Scope",
    "ScopeChangedError",
    "ScopeError",
    "ScopeInvalidError",
    "Service",
    "Session",
    "StalePlanError",
    "Stamped",
    "StillReferencedError",
    "SyncDatabase",
    "TamperedError",
    "TenantScoped",
    "TooSlowError",
    "UnavailableError",
    "UniqueError",
    "UnknownKeyError",
    "UnknownPlaceError",
    "UnscopedError",
    "UnsealedError",
    "ValueRefusedError",
    "View",
    "attach",
    "blind_index_column",
    "blind_match",
    "cacheable",
    "degradable",
    "encrypted_column",
    "keys_of",
    "objections",
    "one_of",
    "place_of",
    "repeatable",
    "routes",
    "scoped",
    "seal_rows",
    "sealed_check",
    "status_column",
    "uuid7",
]

# Where each name is at home.
_NAMES = {
    "engine": "Database PoolState",
    "sync": "SyncDatabase",
    "scope": "AutocommitError Scope ScopeChangedError ScopeError ScopeInvalidError UnscopedError",
    "service": "Service",
    "transactions": "Session scoped",
    "personal": "Classified",
    "retention": "Retained",
    "partitions": "Partitioned",
    "integrity": "Names Numbered",
    "problems": "Problem",
    "resources": "Access Resource routes",
    "shapes": "In Out",
    "degraded": "cacheable degradable",
    "resilience": "repeatable",
    "breaker": "Breaker",
    "models": "NAMING_CONVENTION TYPES JsonObject Keyed Stamped one_of status_column",
    "rows": "Row",
    "identifiers": "uuid7",
    "tenancy": "RowSecurity TenantScoped objections",
    "views": "View",
    "encryption": (
        "Encrypted EncryptionError ErasedError KeyringError Keys NotSealedError PersonKeyError "
        "TamperedError "
        "UnknownKeyError UnknownPlaceError UnsealedError attach blind_index_column blind_match"
        " encrypted_column keys_of place_of seal_rows sealed_check "
    ),
    "errors": (
        "AccessDeniedError AgainError BreakerOpenError CheckError CommitUnknownError "
        "ConstraintError DatabaseError ExclusionError ForeignKeyError ForeignRowError "
        "LoginRefusedError LostUpdateError NotCommittedError NotNullError PoolExhaustedError "
        "PoolerMisfitError ReadOnlyServerError ResourcesError SchemaMismatchError "
        "StalePlanError StillReferencedError TooSlowError UnavailableError UniqueError "
        "ValueRefusedError "
    ),
    "role_guard": "PrivilegedRoleError",
}
HOMES: Mapping[str, Sequence[str]] = MappingProxyType({m: n.split() for m, n in _NAMES.items()})


def __getattr__(name: str) -> object:
    module = next((module for module, names in HOMES.items() if name in names), None)
    if module is None:
        raise AttributeError(f"module 'pgstead.app' has no attribute {name!r}")
    return getattr(importlib.import_module(f"pgstead.app.{module}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
