"""The database of one test: a copy of the migrated template, with everything that leads to it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal

import psycopg

from pgstead.app.connection import VARIABLE, ConnectionFile, read
from pgstead.cli.address import Driver, url
from pgstead.cli.connection import RoleName, address
from pgstead.errors import UsageError
from pgstead.host.sql import SocketSql
from pgstead.testing import template
from pgstead.testing.lease import Worker, leased
from pgstead.testing.logins import LoginLog
from pgstead.testing.place import Answer, Request
from pgstead.testing.template import Copies, Superuser

if TYPE_CHECKING:
    from sqlalchemy import MetaData

    from pgstead.app.engine import Database
    from pgstead.app.sync import SyncDatabase

Role = Literal["app", "readonly", "admin", "migrator", "monitor"]
_STRATEGY = "FILE_COPY"


@dataclass(frozen=True, slots=True)
class FreshDatabase:
    """A database that only one test knows. Dropped at the test's end, whoever is connected."""

    name: str
    prefix: str
    connection: Path  # the connection file
    manifest: Path
    models: str
    _open: ExitStack = field(repr=False)

    @property
    def file(self) -> ConnectionFile:
        """The connection file, read."""
        return read(self.connection)

    @property
    def environ(self) -> Mapping[str, str]:
        """What leads an application of pgstead, or Alembic, to this database."""
        return {VARIABLE: str(self.connection)}

    def url(
        self,
        role: Role = "app",
        *,
        driver: Literal["asyncpg", "psycopg"] | None = None,
        direct: bool = False,
    ) -> str:
        """Return the URL that `pgstead url` would print: without a password, verifying TLS.

        `driver` makes it SQLAlchemy's; `direct` goes past the pooler, as migrator and admin do.
        """
        place = address(self.file, RoleName(role), direct=direct)
        return url(place, Driver(driver) if driver else Driver.LIBPQ)

    def connect(
        self, role: Role = "app", *, direct: bool = False, **options: Any
    ) -> psycopg.Connection[Any]:
        """Connect with psycopg (autocommit); closed at the test's end."""
        given: dict[str, Any] = {"autocommit": True, "prepare_threshold": None, **options}
        connection = psycopg.Connection[Any].connect(self.url(role, direct=direct), **given)
        self._open.callback(connection.close)
        return connection

    def database(self, **options: Any) -> Database:
        """Return an engine of the application's role, through the pooler; closed by itself."""
        from pgstead.app.engine import Database
        from pgstead.app.environment import settings
        from pgstead.testing.loops import Keeper

        known = settings(self.file.name, self.prefix, environ=self.environ)
        options.setdefault("metadata", self.metadata())
        made = Database(known, **options)
        self._open.callback(Keeper(made.engine).close)
        return made

    def sync_database(self, **options: Any) -> SyncDatabase:
        """Return the synchronous engine of the application's role; closed by itself."""
        from pgstead.app.environment import settings
        from pgstead.app.sync import SyncDatabase

        known = settings(self.file.name, self.prefix, environ=self.environ)
        options.setdefault("metadata", self.metadata())
        made = SyncDatabase(known, **options)
        self._open.callback(made.close)
        return made

    def metadata(self) -> MetaData | None:
        """Return the metadata of the models that the manifest names, imported as a test would."""
        import importlib

        if not self.models:
            return None
        module, _, name = self.models.partition(":")
        try:
            found: Any = getattr(importlib.import_module(module), name or "Base")
        except (ImportError, AttributeError) as error:
            raise UsageError(
                f"the models of the manifest, {self.models!r}, cannot be imported: {error}",
                hint='put them on the path of the tests: pythonpath = ["."] in pytest\'s settings',
            ) from error
        return found.metadata if hasattr(found, "metadata") else found


class TestStead:
    """The stead of a test run, as one process of it sees it."""

    __test__ = False  # pytest takes the name for a class of tests

    def __init__(self, answer: Answer, worker: Worker, open_: ExitStack) -> None:
        """Connect as the superuser, over the closed socket."""
        self.answer = answer
        self._names: set[str] = set()
        self._worker = worker
        self._number = itertools.count(1)
        self._copies = Copies(answer.owner)
        sql = SocketSql(PurePosixPath(answer.socket), answer.port, answer.superuser)
        self._superuser: Superuser = open_.enter_context(sql.connect())
        self._log = LoginLog(Path(answer.log), self._superuser)
        open_.callback(self._log.close)
        self._privileged = template.privileged(self._superuser)

    @property
    def original(self) -> ConnectionFile:
        """The connection file of the database that all others are copies of."""
        return read(Path(self.answer.connection))

    @contextmanager
    def fresh(self) -> Generator[FreshDatabase]:
        """Make a database for one test, and drop it afterwards."""
        name = f"test_{self._worker.name}_{next(self._number)}"
        path = Path(self.answer.connection).with_name(f"{name}.json")
        self._copies.create(self._superuser, name, _STRATEGY)
        self._names.add(name)
        try:
            told = json.loads(Path(self.answer.connection).read_text(encoding="utf-8"))
            told |= {"database": name, "stands_for": self.answer.database}
            path.write_text(json.dumps(told), encoding="utf-8")
            with ExitStack() as open_:
                yield FreshDatabase(
                    name=name,
                    prefix=self.answer.prefix,
                    connection=path,
                    manifest=Path(self.answer.manifest),
                    models=self.answer.models,
                    _open=open_,
                )
        finally:
            path.unlink(missing_ok=True)
            self._names.discard(name)
            self._copies.drop(self._superuser, name)

    def objection(self) -> str:
        """Return what is wrong with how somebody came into an open database since last asked.

        Roles that policies do not bind see and do what the application cannot.
        """
        if not self._names:
            return ""
        came = [login for login in self._log.take(self._names) if login.role in self._privileged]
        if not came:
            return ""
        first = came[0]
        why = self._privileged[first.role]
        times = "" if len(came) == 1 else f" ({len(came)} times)"
        return (
            f"this test connected as {first.role!r}{times}: {why}, so what it saw and did there,"
            " the application cannot see and do\n"
            "hint: connect as the application (`pgstead_db`, `pgstead_database.connect()`), or as"
            ' "admin" to look across tenants; a test of migrations says so:'
            ' @pytest.mark.pgstead_privileged("why")'
        )


@contextmanager
def held(request: Request, worker: Worker) -> Generator[TestStead]:
    """Hold the stead of this test run."""
    with leased(request, worker) as answer, ExitStack() as open_:
        yield TestStead(answer, worker, open_)
