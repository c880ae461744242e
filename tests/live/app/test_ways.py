"""Ways to a database: what stands between is found out, and the driver is set up for it."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest
from sqlalchemy import text

from pgstead.app.connection import ConnectionFileError
from pgstead.app.engine import Database
from pgstead.app.environment import Settings
from pgstead.app.profile import PoolerTooOldError, Profile, Way
from pgstead.app.sync import SyncDatabase
from pgstead.app.target import Driver
from pgstead.errors import UsageError
from tests.live.app.ways import WAYS, settings_to, way_to
from tests.live.scratch import Scratch

FOUND = {
    "direct": Way.DIRECT,
    "at hand": Way.UNTRACKED,
    "trixie": Way.TRACKED,
    "forky": Way.TRACKED,
}


@pytest.fixture(scope="module", params=WAYS)
def way(request: pytest.FixtureRequest, scratch: Scratch) -> Iterator[str]:
    """Give each way in turn."""
    with way_to(scratch, request.param):
        yield request.param


async def connected(database: Database) -> Profile:
    """Use a database three times over two connections, and return how it was set up."""
    met = asyncio.Barrier(2)

    async def once() -> None:
        async with database.session() as session:
            assert await session.scalar(text("SELECT 41 + :one"), {"one": 1}) == 42
            await met.wait()

    try:
        for _ in range(8):
            await asyncio.gather(once(), once())
        return database.profile
    finally:
        await database.close()


def unknown(known: Settings) -> Settings:
    """Return settings that tell nothing of what stands between, as a URL does."""
    return replace(known, target=replace(known.target, pooled=True), file=None)


def test_what_stands_between_is_found_out(way: str, scratch: Scratch, driver: Driver) -> None:
    database = Database(unknown(settings_to(scratch, driver)))
    assert database.profile.way is None
    profile = asyncio.run(connected(database))
    assert profile.way is FOUND[way]
    assert profile.prepares is (way == "direct")
    assert profile.reason


def test_prepared_statements_are_kept_behind_a_pooler_only_where_it_tracks_them(
    way: str, scratch: Scratch, driver: Driver
) -> None:
    database = Database(unknown(settings_to(scratch, driver)), fast=True)
    if FOUND[way] is Way.UNTRACKED:
        with pytest.raises(PoolerTooOldError):
            asyncio.run(connected(database))
    else:
        assert asyncio.run(connected(database)).prepares


def test_the_question_leaves_nothing_on_the_server(
    way: str, scratch: Scratch, driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    # a name of this test's own: whose connection was cut while asking left theirs
    asked = f"pgstead_{uuid.uuid4().hex}"
    monkeypatch.setattr("pgstead.app.profile._name", lambda: asked)
    asyncio.run(connected(Database(unknown(settings_to(scratch, driver)))))
    database = Database(unknown(settings_to(scratch, driver)))

    async def names() -> list[str]:
        try:
            async with database.session() as session:
                rows = await session.scalars(text("SELECT name FROM pg_prepared_statements"))
                return [name for name in rows if name == asked]
        finally:
            await database.close()

    assert asyncio.run(names()) == []


@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+asyncpg", "postgresql+psycopg"])
def test_a_url_as_it_is_printed_is_all_that_is_needed(
    way: str, scratch: Scratch, scheme: str
) -> None:
    passfile = scratch.folder / ".pgstead" / "passfiles" / "jeex_idea_app"
    port = scratch.pooler_port or scratch.port
    url = (
        f"{scheme}://jeex_idea_app@127.0.0.1:{port}/jeex_idea?sslmode=verify-full"
        f"&sslrootcert={quote(str(scratch.ca))}&passfile={quote(str(passfile))}"
    )
    assert asyncio.run(connected(Database(url))).way is FOUND[way]
    database = SyncDatabase(url)
    with database.session() as session:
        assert session.scalar(text("SELECT current_user")) == "jeex_idea_app"
    assert database.profile.way is FOUND[way]
    database.close()


def test_the_prefix_alone_leads_to_the_database(
    scratch: Scratch, driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(scratch.folder)
    monkeypatch.delenv("PGSTEAD_CONNECTION", raising=False)
    database = Database.from_env("JEEX_", driver=driver)
    assert database.settings.name == "jeex_idea"
    assert asyncio.run(connected(database)).reason
    sync = SyncDatabase.from_env("JEEX_")
    assert sync.settings.target.driver is Driver.PSYCOPG
    with pytest.raises(ConnectionFileError, match="NOBODY_") as caught:
        Database.from_env("NOBODY_")
    assert "NOBODY_DATABASE_URL" in caught.value.hint


def test_the_environment_wins_over_the_connection_file(scratch: Scratch) -> None:
    url = "postgresql+asyncpg://u@db.example.com/other"
    environ = {"JEEX_DATABASE_URL": url, "JEEX_DATABASE_POOL_SIZE": "7"}
    known = Database.from_env("JEEX_", environ=environ).settings
    assert (known.target.host, known.name, known.figures.size) == ("db.example.com", "other", 7)


def test_the_parts_of_a_url_lead_to_the_database(
    scratch: Scratch, driver: Driver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = settings_to(scratch, driver).target
    monkeypatch.chdir(tmp_path)
    assert known.password is not None
    environ = {
        "PGBOUNCER_HOST": known.host,
        "JEEX_PGBOUNCER_PORT": str(known.port),
        "POSTGRES_DB": known.database,
        "POSTGRES_USER": known.user,
        "POSTGRES_PASSWORD": known.password(),
        "POSTGRES_SSL_ROOT_CERT": str(known.ca),
    }
    database = Database.from_env("JEEX_", environ=environ, driver=driver)
    assert database.settings.file is None
    assert asyncio.run(connected(database)).reason
    with pytest.raises(UsageError, match="PGBOUNCER_PORT"):
        Database.from_env("JEEX_", environ={**environ, "PGBOUNCER_PORT": "1"}, driver=driver)


def test_a_manifest_leads_to_its_database_from_anywhere(
    scratch: Scratch, driver: Driver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = scratch.folder / "pgstead.toml"
    manifest.write_text('[[databases]]\nname = "jeex_idea"\n')
    monkeypatch.chdir(tmp_path)
    database = Database.from_manifest(manifest, environ={}, driver=driver)
    assert asyncio.run(connected(database)).reason
    assert SyncDatabase.from_manifest(manifest, "jeex_idea", environ={}).settings.file
    manifest.write_text('[[databases]]\nname = "jeex_idea"\n[[databases]]\nname = "other"\n')
    with pytest.raises(UsageError, match="several") as caught:
        Database.from_manifest(manifest, environ={})
    assert "jeex_idea, other" in caught.value.hint
    with pytest.raises(UsageError, match="no database 'third'"):
        Database.from_manifest(manifest, "third", environ={})
    with pytest.raises(ConnectionFileError, match="not up"):
        Database.from_manifest(manifest, "other", environ={})
    with pytest.raises(UsageError, match="cannot be read"):
        Database.from_manifest(tmp_path / "nowhere.toml", environ={})


def test_the_figures_are_those_of_the_connection_file(scratch: Scratch) -> None:
    told = json.loads(scratch.connection.read_text())["pool"]
    figures = settings_to(scratch, Driver.ASYNCPG).file
    assert figures is not None
    assert figures.figures.size == told["size"]
