"""Each system by its own manifest: its own server, pooler and service, with its own figures."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text

from pgstead.app import Database
from tests.fix_stead import CHECKOUT, LiveStead, workplace
from tests.free_ports import free_ports
from tests.live.service import SYSTEMS, System
from tests.live.stairway import Stairway
from tests.waiting import until

_READ = r"^{}: (?P<rows>\d+) rows in (?P<tables>\d+) tables read"


@dataclass(frozen=True)
class Alone:
    """A system that runs by itself."""

    system: System
    stead: LiveStead

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.stead.api_port}{path}"

    def is_ready(self) -> bool:
        try:
            return httpx.get(self.url("/health/ready"), timeout=60).status_code == 200
        except httpx.TransportError:
            return False


def with_free_ports(manifest: Path) -> LiveStead:
    """Change the ports of a manifest, and nothing else."""
    ports = free_ports(3)
    told = iter(ports)
    changed = re.sub(r"(?m)^port = \d+", lambda _: f"port = {next(told)}", manifest.read_text())
    manifest.write_text(changed)
    major = int(re.findall(r"(?m)^major = (\d+)", changed)[0])
    assert next(told, None) is None
    return LiveStead(manifest.parent, *ports, major=major)


@pytest.fixture(scope="module", params=SYSTEMS, ids=lambda system: system.name)
def alone(request: pytest.FixtureRequest) -> Iterator[Alone]:
    """Bring up one system in a copy of `systems`; remove everything afterwards."""
    system: System = request.param
    with workplace() as place:
        copied = place / "systems"
        shutil.copytree(
            CHECKOUT / "systems", copied, ignore=shutil.ignore_patterns("__pycache__", ".pgstead")
        )
        stead = with_free_ports(copied / system.name / "pgstead.toml")
        stead.link_toolchain()
        stead.run("up")
        yield Alone(system, stead)
        stead.run("destroy", "--yes", status=None)


def test_its_service_answers_on_its_own_port(alone: Alone) -> None:
    until(alone.is_ready, "the service is ready", 60)
    health = httpx.get(alone.url("/health"), timeout=60).json()
    assert (health["status"], health["service"]) == ("healthy", alone.system.name)
    assert httpx.get(alone.url("/docs"), timeout=60).status_code == 200
    assert (
        httpx.get(alone.url("/openapi.json"), timeout=60).json()["info"]["title"]
        == alone.system.name
    )


def test_variables_with_its_prefix_reach_its_engine(alone: Alone) -> None:
    file = alone.stead.state / "connections" / f"{alone.system.name}.json"
    url = alone.stead.run("url", alone.system.name, "--driver", "asyncpg").stdout.strip()
    given = {
        f"{alone.system.prefix}DATABASE_URL": url,
        f"{alone.system.prefix}DATABASE_POOL_SIZE": "3",
        "PGSTEAD_CONNECTION": str(file),
    }

    async def ask() -> tuple[str, int]:
        database = Database.from_env(alone.system.prefix, environ=given)
        async with database.session() as session:
            name = await session.scalar(text("SELECT current_database()"))
        size = database.pool().size
        await database.close()
        return str(name), size

    assert asyncio.run(ask()) == (alone.system.name, 3)


def test_with_rows_in_every_table_it_comes_back_whole(alone: Alone) -> None:
    stairs = Stairway(alone.stead, alone.system.name)
    stairs.fill()
    drilled = alone.stead.json("drill")
    assert not drilled["failed"]
    wanted = re.compile(_READ.format(alone.system.name))
    (read,) = (found for words in drilled["passed"] if (found := wanted.search(words)))
    rows, tables = int(read["rows"]), int(read["tables"])
    there = stairs.contents()
    assert rows >= sum(len(of_it) for of_it in there.values()) >= len(there) > 0
    assert tables >= len(there)
