"""A migration history made for a test, and runners of it: plain Alembic, as a developer's."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent, indent
from typing import Any

import psycopg

from tests.cli.program import Said, inside, pgstead
from tests.live.scratch import Scratch
from tests.live.service import ROOT

INI = """\
[alembic]
script_location = migrations
prepend_sys_path = .
path_separator = os

[loggers]
keys = root,alembic
[handlers]
keys = console
[formatters]
keys = plain
[logger_root]
level = WARNING
handlers = console
[logger_alembic]
level = INFO
handlers =
qualname = alembic
[handler_console]
class = StreamHandler
args = (sys.stderr,)
level = NOTSET
formatter = plain
[formatter_plain]
format = %(levelname)s %(message)s
"""
_MANIFEST = """\
version = 1
name = "{database}"
environment = "test"
[server]
major = 18
port = {port}
[pooler]
enabled = false
[backup]
enabled = false
[[databases]]
name = "{database}"
owner = "{database}_owner"
app = "{database}_app"
admin = "{database}_admin"
readonly = "{database}_readonly"
migrator = "{database}_migrator"
migrations = "."
prefix = "RUN_"
"""
_ENV = """\
from sqlalchemy import MetaData

from pgstead.app import migrations

migrations.run(MetaData(), prefix="{prefix}", database="{database}")
"""
REVISION = '''\
"""{message}"""

from alembic import op

revision = "{name}"
down_revision = {parent}
branch_labels = None
depends_on = None


def upgrade():
{upgrade}


def downgrade():
{downgrade}
'''


def write_history(folder: Path, prefix: str, database: str) -> None:
    """Write all of a history but revisions."""
    (folder / "migrations" / "versions").mkdir(parents=True)
    (folder / "alembic.ini").write_text(INI)
    env = _ENV.format(prefix=prefix, database=database)
    (folder / "migrations" / "env.py").write_text(env)
    template = ROOT / "systems" / "specgen" / "migrations" / "script.py.mako"
    (folder / "migrations" / "script.py.mako").write_text(template.read_text())


def write_revision(
    path: Path, name: str, upgrade: str, downgrade: str, parent: str | tuple[str, ...] | None
) -> Path:
    """Write a revision."""
    path.write_text(
        REVISION.format(
            message=f"the revision {name}",
            name=name,
            parent=repr(parent),
            upgrade=indent(dedent(upgrade).strip(), "    "),
            downgrade=indent(dedent(downgrade).strip(), "    "),
        )
    )
    return path


@dataclass
class Project:
    """A folder with an alembic.ini, and a database of its own."""

    scratch: Scratch
    folder: Path
    database: str
    connection: Path = field(init=False)
    last: str | None = None

    def __post_init__(self) -> None:
        self.connection = self.scratch.add_database(self.database, "RUN_")
        write_history(self.folder, "RUN_", self.database)
        # as if the command had brought the server up
        (self.folder / "pgstead.toml").write_text(
            _MANIFEST.format(database=self.database, port=self.scratch.port)
        )
        (self.folder / ".pgstead").symlink_to(self.scratch.folder / ".pgstead")

    @property
    def versions(self) -> Path:
        return self.folder / "migrations" / "versions"

    def revision(
        self,
        name: str,
        upgrade: str,
        downgrade: str = "pass",
        parent: str | tuple[str, ...] | None = None,
    ) -> Path:
        """Write a revision after the last one, or after another."""
        path = self.versions / f"{name}.py"
        write_revision(path, name, upgrade, downgrade, parent or self.last)
        self.last = name
        return path

    def sql(self, name: str, *statements: str, down: str = "SELECT 1") -> Path:
        """Write a revision that executes statements."""
        lines = "\n".join(f"op.execute({statement!r})" for statement in statements)
        return self.revision(name, lines, f"op.execute({down!r})")

    def concurrently(self, name: str, *statements: str, before: str = "SELECT 1") -> Path:
        """Write a revision that executes one statement, commits, and the others outside."""
        lines = "\n".join(f"    op.execute({statement!r})" for statement in statements)
        text = f"op.execute({before!r})\nwith op.get_context().autocommit_block():\n{lines}"
        return self.revision(name, text)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a runner."""
        return subprocess.Popen(
            [sys.executable, "-m", "alembic", *arguments],
            cwd=self.folder,
            env={**os.environ, "PGSTEAD_CONNECTION": str(self.connection)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def alembic(self, *arguments: str, fails: bool = False) -> str:
        """Run Alembic, and return what it says."""
        with self.start(*arguments) as process:
            said, _ = process.communicate(timeout=240)
        assert (process.returncode != 0) is fails, said
        return said

    def pgstead(self, *arguments: str, status: int = 0) -> Said:
        """Run `pgstead migrate ...` beside the manifest, in this process."""
        said = inside("migrate", *arguments, directory=self.folder)
        assert said.status == status, said
        return said

    def program(self, *arguments: str, status: int = 0) -> Said:
        """Run the same as a shell would."""
        said = pgstead("migrate", *arguments, directory=self.folder, timeout=240)
        assert said.status == status, said
        return said

    def up(self, *, fails: bool = False) -> str:
        """Upgrade to the head."""
        return self.alembic("upgrade", "head", fails=fails)

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """Ask the database as its superuser."""
        with self.scratch.admin(self.database) as admin:
            return admin.execute(statement.encode()).fetchall()

    def execute(self, statement: str) -> None:
        """Change the database as its superuser."""
        with self.scratch.admin(self.database) as admin:
            admin.execute(statement.encode())

    def session(self, role: str = "app") -> psycopg.Connection[Any]:
        """Connect as a role of the database."""
        return self.scratch.connect(role, self.database)

    def applied(self) -> list[tuple[str, str]]:
        """Return the ledger: revision and direction, in order."""
        return self.rows("SELECT revision, direction FROM pgstead_migrations.applied ORDER BY id")


def line_with(runner: subprocess.Popen[str], words: str) -> str:
    """Return the first line of a runner that holds the words."""
    assert runner.stdout is not None
    said: list[str] = []
    for line in runner.stdout:
        said.append(line)
        if words in line:
            return line
    raise AssertionError("".join(said))
