"""A stead of its own with one small database and a history: what rehearsals are tried on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent, indent
from typing import Any

from tests.fix_stead import LiveStead, stead_in
from tests.free_ports import free_ports
from tests.live.migrate.project import INI, REVISION

_MANIFEST = """\
version = 1
name = "shop"
environment = "development"
[server]
major = {major}
port = {port}
memory = "1GB"
{server}
[pooler]
enabled = false
[backup]
enabled = false
[[databases]]
name = "shop"
migrations = "."
prefix = "SHOP_"
"""
_ENV = """\
from sqlalchemy import MetaData

from pgstead.app import migrations

migrations.run(MetaData(), prefix="SHOP_", database="shop")
"""
ITEM = (
    "CREATE TABLE item (id bigint PRIMARY KEY, size integer NOT NULL, name text)",
    "CREATE TABLE note (id bigint PRIMARY KEY, item bigint REFERENCES item, text text)",
)


@dataclass
class Shop:
    """The stead, and the folder of its revisions."""

    stead: LiveStead
    last: str | None = None
    tables: tuple[str, ...] = ("item", "note")

    @property
    def versions(self) -> Path:
        return self.stead.directory / "migrations" / "versions"

    def revision(self, name: str, upgrade: str, downgrade: str) -> Path:
        """Write a revision after the last one, as Python."""
        path = self.versions / f"{name}.py"
        path.write_text(
            REVISION.format(
                message=f"the revision {name}",
                name=name,
                parent=repr(self.last),
                upgrade=indent(dedent(upgrade).strip(), "    "),
                downgrade=indent(dedent(downgrade).strip(), "    "),
            )
        )
        self.last = name
        return path

    def sql(self, name: str, *up: str, down: tuple[str, ...] = ("SELECT 1",)) -> Path:
        """Write a revision that executes statements."""
        ways = ["\n".join(f"op.execute({s!r})" for s in way) for way in (up, down)]
        return self.revision(name, *ways)

    def fill(self, rows: int, width: int = 60) -> None:
        """Give the table rows; so many that they take some time to rewrite, or few."""
        with self.stead.superuser("shop") as session:
            session.execute("SET statement_timeout = 0")
            session.execute(
                f"INSERT INTO item SELECT n, n % 1000, repeat('x', {width}) || n"
                f" FROM generate_series(1, {rows}) AS n"
            )
            session.execute("INSERT INTO note SELECT n, n, 'x' FROM generate_series(1, 10) AS n")
            # as autovacuum leaves a table: else the first to read all of it writes all of it
            session.execute("VACUUM (ANALYZE)")

    def rehearse(self, *arguments: str, status: int = 0) -> Mapping[str, Any]:
        """Rehearse, and return what programs are told."""
        done = self.stead.run("migrate", "rehearse", "shop", "--json", *arguments, status=status)
        return json.loads(done.stdout)

    def forget(self, *names: str) -> None:
        """Remove revisions that were not applied."""
        for name in names:
            (self.versions / f"{name}.py").unlink()
        left = sorted(path.stem for path in self.versions.glob("*.py"))
        self.last = left[-1] if left else None

    def copies(self) -> list[Path]:
        """Return what is left of copies."""
        return [*(self.stead.state / "server").glob("c??????")]


@contextmanager
def shop(major: int = 18, server: str = "") -> Iterator[Shop]:
    """Give a stead with the tables, which are empty; removed afterwards."""
    with stead_in(major=major) as stead:
        (port,) = free_ports(1)
        stead.direct_port = port
        stead.manifest.write_text(_MANIFEST.format(major=major, port=port, server=server))
        (stead.directory / "alembic.ini").write_text(INI)
        made = Shop(stead)
        made.versions.mkdir(parents=True)
        (stead.directory / "migrations" / "env.py").write_text(_ENV)
        made.sql("aa01", *ITEM, down=("DROP TABLE note", "DROP TABLE item"))
        stead.run("up")
        yield made
