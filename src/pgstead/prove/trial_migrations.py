"""A trial of each database's own `env.py`: two runners at once, on a scratch database.

The history of the trial has two revisions. The first wants a table that a reader holds, the second
fails behind its first statement. The runners are what a developer starts: Alembic, in the folder
of the database's migrations, with that folder's `env.py`; only the revisions and the database are
others. A database is made for it and dropped; nothing of the stead's own is touched.
"""

from __future__ import annotations

import os
import re
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import psycopg
from psycopg import sql

from pgstead.prove.finding import Answer, CannotTryError, answer, timed
from pgstead.prove.scratch import PREFIX

if TYPE_CHECKING:
    from pgstead.model.design import DatabasePlan
    from pgstead.prove.witness import Witness

PATIENCE = 2.0  # seconds that a writer is willing to stand behind a migration
_LONGEST = 40.0  # seconds for a runner, on a machine that is busy otherwise
_CHANCE = 15.0  # seconds for the second runner to come as far as it gets
_STALE = 600  # seconds after which a scratch database is one that a killed run left
_WAITS = "waiting for another migration"
_ERROR = re.compile(r"\w+(\.\w+)+: ")  # how Python begins the last line of a traceback

# Whatever env.py does: nothing happens in a database that is not the trial's.
_GUARD = (
    "DO $$ BEGIN IF current_database() !~ '^pgstead_proof_' THEN"
    " RAISE 'the trial was led to %', current_database(); END IF; END $$"
)
_FIRST = f'''
"""Want a table that somebody reads."""
import os
from pathlib import Path
from alembic import op
revision, down_revision = "first", None
def upgrade():
    op.execute({_GUARD!r})
    Path(os.environ["PGSTEAD_TRIAL"], f"in-{{os.getpid()}}").touch()
    op.execute("ALTER TABLE busy ADD COLUMN more int")
def downgrade():
    pass
'''
_SECOND = f'''
"""Fail behind the first statement."""
from alembic import op
revision, down_revision = "second", "first"
def upgrade():
    op.execute({_GUARD!r})
    op.execute("CREATE TABLE half (n int)")
    op.execute("SELECT 1 / 0")
def downgrade():
    pass
'''
_PROGRAM = dedent("""
    import logging
    import sys
    from alembic import command
    from alembic.config import Config
    logging.basicConfig(level=logging.WARNING)
    config = Config("alembic.ini")
    config.set_main_option("version_locations", sys.argv[1].replace("%", "%%"))
    command.upgrade(config, "head")
""")
_WAITING = """
    SELECT count(*) FROM pg_catalog.pg_locks
    WHERE NOT granted AND locktype = 'relation' AND mode = 'AccessExclusiveLock'
      AND relation = 'busy'::regclass
"""


@dataclass(frozen=True, slots=True)
class Seen:
    """What came of the trial of one database."""

    waited: bool  # a runner was seen to wait for the table
    written: bool  # a writer got through while it did
    entered: int  # how many processes began the first revision
    met: bool  # the second runner was there meanwhile: in it too, or saying that it waits
    versions: tuple[str, ...]
    changed: bool  # the first revision got through
    half: bool  # something of the failed revision is there
    said: str  # the last words of the runners


def trials(w: Witness) -> Mapping[str, Answer[Seen]]:
    """Try all databases, once a run. Raises CannotTryError where one cannot be tried."""
    return w.once("trial migrations", lambda: _all(w))


def _all(w: Witness) -> Mapping[str, Answer[Seen]]:
    """Try one after the other: a trial has five sessions, which is what a superuser is kept."""
    _sweep(w)
    return {plan.name: _one(w, plan) for plan in w.migrated}


def _one(w: Witness, plan: DatabasePlan) -> Answer[Seen]:
    folder = Path(w.design.layout.manifest_directory / plan.migrations)
    if not (folder / "alembic.ini").is_file():
        raise CannotTryError(f"{folder} has no alembic.ini")
    with _database(w) as name, tempfile.TemporaryDirectory(prefix="pgstead-trial-") as place:
        versions = Path(place, "versions")
        versions.mkdir()
        (versions / "first.py").write_text(_FIRST.lstrip(), encoding="utf-8")
        (versions / "second.py").write_text(_SECOND.lstrip(), encoding="utf-8")
        with timed() as watch:
            seen = _Trial(w, plan, name, folder, Path(place)).seen()
    tried = f"in {plan.migrations}: two of `alembic upgrade head`, on a database for the trial"
    text = (
        f"writer behind the migration: {'through' if seen.written else 'held up'}; runners in the"
        f" first revision: {seen.entered}; at {', '.join(seen.versions) or 'nothing'};"
        f" {seen.said}"
    )
    return answer(tried, text, seen, watch)


@dataclass(frozen=True, slots=True)
class _Trial:
    """One trial: where its runners work, and where they look."""

    witness: Witness
    plan: DatabasePlan
    database: str
    folder: Path
    place: Path

    def seen(self) -> Seen:
        """Start the runners while a reader holds the table; say what came of it."""
        sessions = self.witness.access.ports.sql.connect
        with sessions(self.database) as reader, sessions(self.database) as writer:
            writer.execute("CREATE TABLE busy (n int)")
            # as in a database that is in use: who makes this table holds up all others by it
            writer.execute("CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)")
            runners: list[subprocess.Popen[bytes]] = []
            try:
                with reader.transaction():
                    reader.execute("SELECT * FROM busy")
                    runners += [self._start(n) for n in range(2)]
                    waited = self._until(lambda: _count(writer, _WAITING) > 0, runners)
                    written = waited and _gets_through(writer)
                    met = self._until(self._both_came, runners, _CHANCE)
                for runner in runners:
                    runner.wait(_LONGEST)
            except subprocess.TimeoutExpired as error:
                raise CannotTryError(f"a runner did not end within {_LONGEST:g} s") from error
            finally:
                _end(runners)
            return self._result(writer, waited=waited, written=written, met=met)

    def _result(
        self, session: psycopg.Connection[Any], *, waited: bool, written: bool, met: bool
    ) -> Seen:
        versions = session.execute("SELECT version_num FROM alembic_version").fetchall()
        more = (
            "SELECT count(*) FROM pg_catalog.pg_attribute"
            " WHERE attrelid = 'busy'::regclass AND attname = 'more'"
        )
        said = [line for line in self._said().splitlines() if _ERROR.match(line)]
        return Seen(
            waited=waited,
            written=written,
            entered=len([*self.place.glob("in-*")]),
            met=met,
            versions=tuple(row["version_num"] for row in versions),
            changed=_count(session, more) > 0,
            half=_count(session, "SELECT count(to_regclass('half'))") > 0,
            said=said[-1] if said else "",
        )

    def _start(self, number: int) -> subprocess.Popen[bytes]:
        design = self.witness.design
        host, port = quote(str(design.layout.socket), safe=""), design.settings["port"]
        url = f"postgresql://{quote(design.superuser)}@:{port}/{self.database}?host={host}"
        path = (str(design.layout.manifest_directory), os.environ.get("PYTHONPATH", ""))
        environment = {
            **os.environ,
            "PGSTEAD_TRIAL": str(self.place),
            "PGSTEAD_CONNECTION": str(design.layout.connection(self.plan.name)),
            "PYTHONPATH": os.pathsep.join(filter(None, path)),
            f"{self.plan.prefix}DATABASE_URL_SYNC": url,
        }
        with (self.place / f"said-{number}").open("wb") as said:
            return subprocess.Popen(
                [sys.executable, "-c", _PROGRAM, str(self.place / "versions")],
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
            )

    def _said(self) -> str:
        files = sorted(self.place.glob("said-*"))
        return "\n".join(f.read_text(encoding="utf-8", errors="replace") for f in files)

    def _both_came(self) -> bool:
        """Say whether the second runner is in the revision too, or says that it waits."""
        return len([*self.place.glob("in-*")]) > 1 or _WAITS in self._said()

    def _until(
        self, holds: Any, runners: list[subprocess.Popen[bytes]], seconds: float = _LONGEST
    ) -> bool:
        """Wait until something holds; not longer than runners run."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if holds():
                return True
            if all(runner.poll() is not None for runner in runners):
                return False
            time.sleep(0.01)
        return False


def _gets_through(writer: psycopg.Connection[Any]) -> bool:
    """Write to the table behind whoever waits for it."""
    writer.execute(sql.SQL("SET lock_timeout = {}").format(sql.Literal(f"{PATIENCE:g}s")))
    try:
        writer.execute("INSERT INTO busy VALUES (1)")
    except psycopg.errors.LockNotAvailable:
        return False
    return True


def _count(session: psycopg.Connection[Any], statement: str) -> int:
    row = session.execute(statement.encode()).fetchone()
    return int(row["count"]) if row else 0


def _end(runners: list[subprocess.Popen[bytes]]) -> None:
    for runner in runners:
        if runner.poll() is None:
            runner.kill()
        runner.wait()


@contextmanager
def _database(w: Witness) -> Generator[str]:
    """Give a database of one's own; its name says when it was made."""
    name = f"{PREFIX}{int(time.time())}_{secrets.token_hex(4)}"
    make = sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name))
    try:
        with w.backstage(write=True) as session:
            session.connection.execute(make)
        yield name
    finally:
        with w.backstage(write=True) as session:
            _drop(session.connection, name)


def _drop(connection: psycopg.Connection[Any], name: str) -> None:
    connection.execute(
        sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
    )


def _sweep(w: Witness) -> None:
    """Drop what a killed run left."""
    with w.backstage(write=True) as session:
        rows = session.connection.execute(
            "SELECT datname FROM pg_catalog.pg_database WHERE starts_with(datname::text, %s)",
            [PREFIX],
        ).fetchall()
        for (name,) in rows:
            made = str(name).removeprefix(PREFIX).partition("_")[0]
            with suppress(ValueError):
                if int(made) < time.time() - _STALE:
                    _drop(session.connection, str(name))
