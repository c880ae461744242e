"""A project of a user's, as small as it can be: manifest, models, migration, HTTP service."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.fix_stead import CHECKOUT, toolchain

MANIFEST = """\
version = 1
name = "shop"

[server]
major = {major}

[[databases]]
name = "shop"
migrations = "."
models = "shop.models:Base"
{more}
"""

FILES = {
    "pyproject.toml": """\
[tool.pytest.ini_options]
pythonpath = ["."]
addopts = ["--strict-markers", "--strict-config", "-p", "no:cacheprovider"]
filterwarnings = ["error", "ignore:Using .httpx. with .starlette.testclient."]
""",
    "alembic.ini": """\
[alembic]
script_location = migrations
prepend_sys_path = .
path_separator = os

[loggers]
keys = root

[handlers]
keys = console

[formatters]
keys =

[logger_root]
level = WARNING
handlers = console

[handler_console]
class = StreamHandler
args = (sys.stderr,)
""",
    "migrations/env.py": """\
from pgstead.app import migrations
from shop.models import Base

migrations.run(Base.metadata, prefix="SHOP_", database="shop")
""",
    "migrations/versions/0001_orders.py": """\
import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "orders",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("tenant_id", sa.Text, nullable=False, server_default=sa.text(NOW)),
        sa.Column("item", sa.Text, nullable=False),
    )
    op.execute("ALTER TABLE orders ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE orders FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY own ON orders TO shop_app USING (tenant_id = {NOW})")
    op.execute("CREATE POLICY every ON orders TO shop_admin USING (true)")


NOW = "current_setting('app.current_tenant_id', true)"
""",
    "shop/__init__.py": "",
    "shop/models.py": """\
from pgstead.app.tenancy import TenantScoped
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    pass


class Order(TenantScoped, Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    item: Mapped[str]
""",
    "shop/api.py": """\
from contextlib import asynccontextmanager

from fastapi import Body, FastAPI
from pgstead.app.engine import Database
from shop.models import Base, Order


def create_app():
    db = Database.from_env("SHOP_", metadata=Base.metadata)

    @asynccontextmanager
    async def lifespan(app):
        yield
        await db.close()

    app = FastAPI(lifespan=lifespan)

    @app.post("/orders", status_code=201)
    async def order(item: str = Body(embed=True)):
        async with db.session(tenant="acme") as session:
            session.add(Order(item=item))

    return app
""",
}


@dataclass(frozen=True)
class Project:
    """A project in a directory, and its tests run as a user runs them."""

    directory: Path

    def write(self, name: str, text: str) -> None:
        """Write a file of the project."""
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def manifest(self, more: str = "", major: int = 18) -> None:
        """Write the manifest, and let it find the binaries that the suite shares."""
        self.write("pgstead.toml", MANIFEST.format(more=more, major=major))
        link = self.directory / ".pgstead" / "toolchain"
        link.parent.mkdir(exist_ok=True)
        if not link.is_symlink():
            link.symlink_to(toolchain(major))

    @property
    def environment(self) -> dict[str, str]:
        """The suite's environment; temporary files are the project's own, to see what is left."""
        return {**os.environ, "TMPDIR": str(self.directory / "tmp")}

    @property
    def command(self) -> list[str]:
        """How the tests are run."""
        return [sys.executable, "-m", "pytest", "-rA", "--rootdir", str(self.directory)]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run tests, and wait for their end."""
        return subprocess.run(
            [*self.command, *arguments],
            cwd=self.directory,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )

    def left(self) -> list[str]:
        """Return the directories of steads that are still there."""
        return [str(path) for path in (self.directory / "tmp").glob("pgtest-*")]

    def processes(self) -> list[str]:
        """Return the command lines of processes that work in the project's temporary files."""
        found: list[str] = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if f"{self.directory}/tmp/" in words:
                found.append(words)
        return found


def project_in(directory: Path) -> Project:
    """Write the project."""
    made = Project(directory)
    for name, text in FILES.items():
        made.write(name, text)
    made.manifest()
    (directory / "tmp").mkdir()
    (directory / "tmp").chmod(0o755)
    return made


def page() -> list[str]:
    """Return the Python blocks of the page in docs/how-to."""
    text = (CHECKOUT / "docs/how-to/test-your-application.md").read_text()
    return [part.split("```")[0] for part in text.split("```python\n")[1:]]
