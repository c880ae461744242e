"""What the `keys` commands work with: where the keys are, the models, a connection."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pgstead.app.connection import ConnectionFile
from pgstead.cli.connection import connection_to
from pgstead.cli.invocation import Invocation
from pgstead.errors import ManifestError, UsageError

if TYPE_CHECKING:
    from sqlalchemy import MetaData
    from sqlalchemy.engine import Engine

    from pgstead.app.encryption import Keys, Kms, PersonKeys
    from pgstead.cli.wiring import Source


@dataclass(frozen=True)
class Ring:
    """Where the keys of a database are, as the command line sees them."""

    connection: ConnectionFile
    environ: Mapping[str, str]

    @classmethod
    def of(cls, database: str, invocation: Invocation) -> Ring:
        """Find the database."""
        from pgstead.app.environment import process_environment

        return cls(connection_to(database, invocation.manifest), process_environment())

    @property
    def kms(self) -> Kms | None:
        """The KMS that unwraps the keys, where there is one."""
        from pgstead.app.encryption.sources import kms_of

        return kms_of(self.connection.prefix, self.environ)

    @property
    def keys(self) -> Keys:
        """The keys as an application would find them."""
        from pgstead.app.encryption.sources import keys_of

        return keys_of(self.connection.prefix, self.environ, self.connection)

    @property
    def path(self) -> Path:
        """The key file. Raises UsageError where keys are not in a file."""
        from pgstead.app.encryption.sources import FileSource, beside, find

        source = find(self.connection.prefix, self.environ, self.connection)
        if source is None:
            return beside(self.connection)
        if not isinstance(source, FileSource):
            raise UsageError(
                f"the keys of {self.connection.database} are in {source.name}, which cannot be"
                " changed from here",
                hint=f"put them into a file of mode 0600 and name it in "
                f"{self.connection.prefix}ENCRYPTION_KEYS_FILE",
            )
        return source.path

    @property
    def persons(self) -> PersonKeys:
        """Where secrets of persons lie, as an application would find them."""
        from pgstead.app.encryption.persons import PersonFiles
        from pgstead.app.encryption.sources import persons_beside, persons_of

        found = persons_of(self.connection.prefix, self.environ, self.connection)
        return found or PersonFiles(persons_beside(self.connection))

    @property
    def owner(self) -> tuple[int, int] | None:
        """Who reads it: whoever reads the application's password. Only root can give it away."""
        if os.geteuid() != 0:
            return None
        found = self.connection.account("app").passfile.stat()
        return found.st_uid, found.st_gid

    def write(self, text: str) -> None:
        """Put another document in its place."""
        from pgstead.app.encryption import keyfile

        keyfile.write(self.path, text, self.kms, owner=self.owner)


def metadata_of(database: str, invocation: Invocation) -> MetaData:
    """Import the models of a database, which say what is encrypted and bound to what."""
    from pgstead.cli.wiring import read_manifest

    return models_of(database, read_manifest(invocation.manifest))


def models_of(database: str, source: Source) -> MetaData:
    """Import the models of a database of a manifest. Raises ManifestError, UsageError."""
    from sqlalchemy import MetaData

    entry = next((d for d in source.manifest.databases if d.name == database), None)
    if entry is None or not entry.models:
        raise UsageError(
            f"the manifest names no models of {database}",
            hint='[[databases]] models = "package.module:Base" says what is encrypted',
        )
    module, _, name = entry.models.partition(":")
    directory = source.directory / entry.imported_from
    sys.path.insert(0, str(directory))
    try:
        found: Any = getattr(importlib.import_module(module), name or "metadata")
    except (ImportError, AttributeError) as error:
        raise ManifestError(
            f"databases.models: {entry.models} cannot be imported: {error}",
            hint=f"it is imported from {directory}",
            key="databases.models",
        ) from error
    metadata: Any = getattr(found, "metadata", found)
    assert isinstance(metadata, MetaData)
    return metadata


@contextmanager
def engine_of(connection: ConnectionFile, role: str) -> Generator[Engine]:
    """Give an engine past the pooler, as a role that sees the rows of every tenant.

    What the server refuses comes out as a DatabaseError.
    """
    from sqlalchemy.exc import SQLAlchemyError

    from pgstead.app.migrations import engine_to
    from pgstead.app.target import Driver, Target
    from pgstead.app.translation import translate

    door = "direct" if "direct" in connection.doors else None
    target = Target.from_file(connection, role=role, door=door, driver=Driver.PSYCOPG)
    engine = engine_to(target, "pgstead keys", filtered=True)
    try:
        yield engine
    except SQLAlchemyError as error:
        meaning = translate(error)
        if meaning is None:
            raise
        raise meaning from error
    finally:
        engine.dispose()
