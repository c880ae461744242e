"""What the commands `pgstead migrate ...` share: which databases, their files, their state."""

from __future__ import annotations

import logging
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, TextIO

from pgstead.cli.console import Console
from pgstead.cli.invocation import Invocation
from pgstead.errors import NotRunningError, SteadError, UsageError

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy import Engine

    from pgstead.app.connection import ConnectionFile
    from pgstead.app.migration_runner import Report
    from pgstead.manifest.document import DatabaseEntry
    from pgstead.model.history import HistoryProblem, Remembered, RevisionFile


_FULL = "53100"  # disk_full
_DENIED = "42501"  # insufficient_privilege


def chosen(names: Sequence[str], invocation: Invocation) -> list[DatabaseEntry]:
    """Return the databases that are meant: those that are named, else all with migrations."""
    from pgstead.cli.wiring import read_manifest

    known = {e.name: e for e in read_manifest(invocation.manifest).manifest.databases}
    for name in names:
        if name not in known:
            raise UsageError(
                f"the manifest has no database `{name}`", hint=f"it has: {', '.join(known)}"
            )
        if not known[name].migrations:
            raise UsageError(
                f"the manifest names no migrations of {name}",
                hint='[[databases]] migrations = "FOLDER" names the folder of its alembic.ini',
            )
    return [e for e in known.values() if e.migrations and (not names or e.name in names)]


@dataclass(frozen=True)
class History:
    """The migrations of one database: the files, and what the database remembers."""

    entry: DatabaseEntry
    invocation: Invocation
    where: Path | None = None  # the connection file; None: the one that `up` wrote

    @cached_property
    def root(self) -> Path:
        """Where the manifest lies."""
        from pgstead.cli.wiring import read_manifest

        return read_manifest(self.invocation.manifest).directory

    @cached_property
    def files(self) -> tuple[RevisionFile, ...]:
        """The revisions, read without being executed."""
        from pgstead.host import histories

        return histories.read(self.root / self.entry.migrations, self.root)

    @cached_property
    def connection(self) -> ConnectionFile:
        """Where the database is. Raises NotRunningError before the first `up`."""
        from pgstead.app.connection import read
        from pgstead.cli.connection import connection_to

        if self.where is not None:
            return read(self.where, self.entry.name)
        return connection_to(self.entry.name, self.invocation.manifest)

    @cached_property
    def found(self) -> Remembered:
        """What the database remembers. Raises SteadError where it does not answer."""
        from pgstead.app import migration_ledger, migration_statements

        with self.engine() as engine, engine.connect() as connection:
            return migration_ledger.read(migration_statements.driver_of(connection))

    @cached_property
    def problems(self) -> tuple[HistoryProblem, ...]:
        """What is wrong with the files, and in what the database disagrees with them."""
        from pgstead.plan import history

        name = self.entry.name
        return (
            *history.problems(self.files, name),
            *history.disagreements(self.files, self.found, name),
        )

    @property
    def pending(self) -> tuple[RevisionFile, ...]:
        """The revisions that the database does not have yet, in the order in which they run."""
        from pgstead.plan import history

        done = history.applied(self.files, self.found.heads)
        return tuple(f for f in history.ordered(self.files) if f.name not in done)

    @property
    def at_its_heads(self) -> bool:
        """Say whether nothing is pending, as far as can be told without importing Alembic."""
        from pgstead.cli.connection import RoleName, address, state_of
        from pgstead.host.migrations import AlembicMigrations
        from pgstead.host.version import heads_at
        from pgstead.model.layout import Layout

        if "direct" not in self.connection.doors:
            return False
        layout = Layout(PurePosixPath(state_of(self.connection)), PurePosixPath(self.root))
        scripts = AlembicMigrations(self.root, Path(layout.run / "heads.json"))
        there = address(self.connection, RoleName.MIGRATOR, direct=True)
        found = heads_at(
            {
                "host": there.host,
                "port": there.port,
                "dbname": there.database,
                "user": there.user,
                "passfile": there.passfile,
                "sslmode": there.sslmode,
                "sslrootcert": there.ca,
            }
        )
        return found is not None and found == scripts.heads_of(self.entry.migrations) != ()

    def named(self, told: str) -> str:
        """Return the revision that a name or the beginning of one means. Raises UsageError."""
        names = [file.name for file in self.files if file.name]
        names += [line.revision for line in self.found.lines if line.revision not in names]
        found = [told] if told in names else sorted({n for n in names if n.startswith(told)})
        if len(found) == 1:
            return found[0]
        raise UsageError(
            f"{told!r} means {len(found)} revisions" if found else f"there is no revision {told!r}",
            hint=f"`pgstead migrate history {self.entry.name}` lists them",
        )

    @contextmanager
    def engine(self, role: str = "migrator") -> Generator[Engine]:
        """Give an engine past the pooler; what is refused is explained."""
        import psycopg
        from sqlalchemy.exc import DBAPIError

        from pgstead.app.migrations import engine_to
        from pgstead.app.target import Driver, Target

        target = Target.from_file(self.connection, role=role, door="direct", driver=Driver.PSYCOPG)
        engine = engine_to(target, "pgstead migrate")
        try:
            yield engine
        except DBAPIError as error:
            raise _explained(error, self.entry.name, target.place) from error
        except psycopg.Error as error:
            words = " ".join(str(error).split())
            hint = "run it again: what is in is not done twice"
            if error.sqlstate == _DENIED:
                hint = "migrations run as the migrator; `pgstead up` mends what he may do"
            raise SteadError(f"{self.entry.name}: {words}", hint=hint) from error
        finally:
            engine.dispose()

    @contextmanager
    def alembic(
        self, console: Console, *, report: Report | None = None, output: TextIO | None = None
    ) -> Generator[Config]:
        """Give Alembic's configuration, bound to the database; what it says is told.

        With `output`, no database is needed.
        """
        from contextlib import ExitStack

        from alembic.util import CommandError
        from sqlalchemy.exc import DBAPIError

        from pgstead.app.migrations import REPORT
        from pgstead.host.standing import alembic_in

        with ExitStack() as stack:
            attributes: dict[str, Any] = {REPORT: report, "pgstead_roles": self._roles()}
            if output is None:
                attributes["connection"] = stack.enter_context(self.engine())
            stack.enter_context(_told(console))
            folder = self.root / self.entry.migrations
            config = stack.enter_context(alembic_in(folder, self.root, output, **attributes))
            try:
                yield config
            except CommandError as error:
                said, _, hint = str(error).partition("\nhint: ")
                raise SteadError(
                    f"{self.entry.name}: {said}",
                    hint=hint or f"`pgstead migrate check {self.entry.name}` looks for the cause",
                ) from error
            except Exception as error:
                place = _in_files(error, folder)
                if isinstance(error, SteadError | DBAPIError) or not place:
                    raise
                raise SteadError(
                    f"{self.entry.name}: {place}: {type(error).__name__}: {error}",
                    hint="mend that file; nothing of a revision that failed is kept, or"
                    f" `pgstead migrate status {self.entry.name}` says what is",
                ) from error

    def _roles(self) -> Mapping[str, str]:
        entry = self.entry
        return {p: getattr(entry, p) for p in ("app", "admin", "readonly", "migrator", "owner")}


def _in_files(error: Exception, folder: Path) -> str:
    """Return where in the user's revisions an error comes from; empty where it is our own.

    env.py is in the trace of everything: it counts where nothing came of calling it.
    """
    from traceback import extract_tb

    from pgstead.host.migrations import scripts

    if isinstance(error, ImportError) and not any(p.name == "env.py" for p in scripts(folder)):
        return str(folder)
    frames = extract_tb(error.__traceback__)
    own = [f for f in frames if Path(f.filename).is_relative_to(folder)]
    if not own or (own[-1].name == "<module>" and own[-1].filename.endswith("env.py")):
        own = own if frames[-1:] == own[-1:] else []
    return f"{Path(own[-1].filename).relative_to(folder)}:{own[-1].lineno}" if own else ""


def _explained(error: Any, database: str, place: str) -> SteadError:
    """Return what PostgreSQL said as an error of ours: the words, the statement, the way on."""
    from pgstead.app.migration_violations import without_values

    words = without_values(error.orig)  # nor the detail, which may hold a row's values
    if error.statement is None:
        return NotRunningError(
            f"{place} does not let us in: {words}",
            hint="`pgstead status` says what runs; `pgstead up` starts it and mends roles",
        )
    from pgstead.app.migration_watch import shown

    hint = "nothing of this revision was kept, or `pgstead migrate status` says what was"
    if getattr(error.orig, "sqlstate", None) == _FULL:
        hint += (
            "; make room, then run it again: what is written anew (a table with its indexes) is"
            " there twice until it commits"
        )
    return SteadError(f"{database}: {words}; statement: {shown(error.statement)}", hint=hint)


class _Telling(logging.Handler):
    """Hands what Alembic and the runner say to the console."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.WARNING:
            self._console.warn(record.getMessage())
        else:
            self._console.say(f"  {record.getMessage()}")


@contextmanager
def _told(console: Console) -> Generator[None]:
    logger, handler = logging.getLogger("alembic.pgstead"), _Telling(console)
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
