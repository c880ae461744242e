"""Encrypted columns: AES-256-GCM, bound to their place, with keys that rotate (docs/adr/0016).

class TenantConfig(Base):
    api_key: Mapped[Encrypted[str]] = encrypted_column(str, stored=Text())

# `Database` gives its sessions the keys where its metadata has such columns; else
# attach(sessions, keys_of("AI_AGENTS_", os.environ, settings.file))
session.add(TenantConfig(tenant_id="acme", api_key=Encrypted("secret")))
config.api_key.reveal()
"""

from pgstead.app.encryption.blind import blind_match
from pgstead.app.encryption.column import (
    EncryptedType,
    blind_index_column,
    encrypted_column,
    encrypted_columns,
    sealed_check,
)
from pgstead.app.encryption.declaration import normalized
from pgstead.app.encryption.errors import (
    EncryptionError,
    ErasedError,
    KeyringError,
    NotSealedError,
    PersonKeyError,
    TamperedError,
    UnknownKeyError,
    UnknownPlaceError,
    UnsealedError,
)
from pgstead.app.encryption.flushing import attach, place_of, seal_rows
from pgstead.app.encryption.persons import PersonFiles, PersonKeys
from pgstead.app.encryption.place import Place
from pgstead.app.encryption.ring import KeyRing
from pgstead.app.encryption.sources import (
    EnvironmentSource,
    FileSource,
    Keys,
    Kms,
    Source,
    keys_of,
)
from pgstead.app.encryption.value import Encrypted

__all__ = [
    "Encrypted",
    "EncryptedType",
    "EncryptionError",
    "EnvironmentSource",
    "ErasedError",
    "FileSource",
    "KeyRing",
    "KeyringError",
    "Keys",
    "Kms",
    "NotSealedError",
    "PersonFiles",
    "PersonKeyError",
    "PersonKeys",
    "Place",
    "Source",
    "TamperedError",
    "UnknownKeyError",
    "UnknownPlaceError",
    "UnsealedError",
    "attach",
    "blind_index_column",
    "blind_match",
    "encrypted_column",
    "encrypted_columns",
    "keys_of",
    "normalized",
    "place_of",
    "seal_rows",
    "sealed_check",
]
