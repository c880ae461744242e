"""The pytest plugin, as a user's project sees it: run in a process of its own."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fix_stead import short_directory
from tests.live.testing.project import Project, page, project_in
from tests.waiting import until

# What a project's own tests may find out; the names are asked for below.
INSIDE = """
import asyncio
import subprocess
import sys

import psycopg
import pytest
from sqlalchemy import func, select, text

from shop.models import Order

COUNT = select(func.count()).select_from(Order)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_rows_of_others_are_not_seen(pgstead_sync_db, number):
    with pgstead_sync_db.session(tenant="acme") as session:
        assert session.scalar(COUNT) == 0
        session.add(Order(item="tea"))


def test_it_is_shaped_like_production(pgstead_database, pgstead_sync_db):
    with pgstead_sync_db.session(tenant="acme") as session:
        assert session.scalar(text("SELECT session_user")) == "shop_app"
        tls = "SELECT ssl AND version = 'TLSv1.3' FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
        assert session.scalar(text(tls))
        assert session.scalar(text("SHOW statement_timeout")) == "30s"
    doors = pgstead_database.file.doors
    assert f":{doors['pooler'].port}/" in pgstead_database.url()
    assert f":{doors['direct'].port}/" in pgstead_database.url("migrator")
    with pgstead_database.connect() as app, pytest.raises(psycopg.errors.InsufficientPrivilege):
        app.execute("CREATE TABLE mine ()")


def test_two_loops_may_follow_each_other(pgstead_db):
    async def order():
        async with pgstead_db.session(tenant="acme") as session:
            session.add(Order(item="tea"))

    async def count():
        async with pgstead_db.session(tenant="acme") as session:
            return await session.scalar(COUNT)

    asyncio.run(order())
    assert asyncio.run(count()) == 1


@pytest.fixture(scope="module")
def long_loop():
    loop = asyncio.new_event_loop()
    yield loop
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


def test_a_loop_may_outlive_the_test(pgstead_db, long_loop):
    async def count():
        async with pgstead_db.session(tenant="acme") as session:
            return await session.scalar(COUNT)

    assert long_loop.run_until_complete(count()) == 0


def test_the_original_is_closed_to_all(pgstead_database):
    url = pgstead_database.url(direct=True).replace(pgstead_database.name, "shop")
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(url)


def test_keys_of_encrypted_columns_are_there(pgstead_database):
    from pgstead.app.encryption.sources import keys_of

    assert keys_of("SHOP_", {}, pgstead_database.file)


def test_connects_as_migrator_quietly(pgstead_database):
    with pgstead_database.connect("migrator") as connection:
        connection.execute("INSERT INTO orders (tenant_id, item) SELECT '', '' WHERE false")


def test_connects_as_migrator_elsewhere(pgstead_database):
    code = "import psycopg, sys; psycopg.connect(sys.argv[1]).close()"
    url = pgstead_database.url("migrator")
    subprocess.run([sys.executable, "-c", code, url], check=True)


def test_connects_as_superuser_by_the_socket(pgstead_stead, pgstead_database):
    told = pgstead_stead.answer
    where = {"host": told.socket, "port": told.port, "user": told.superuser}
    psycopg.connect(dbname=pgstead_database.name, **where).close()


@pytest.mark.pgstead_privileged
def test_connects_as_migrator_without_a_reason(pgstead_database):
    pgstead_database.connect("migrator")


@pytest.mark.pgstead_privileged("migrations are run here")
def test_alembic_finds_this_database(pgstead_database, pgstead_environ):
    command = [sys.executable, "-m", "alembic", "current", "--check-heads"]
    subprocess.run(command, check=True)
    with pgstead_database.connect("migrator") as connection:
        connection.execute("DROP TABLE orders")
"""

WAITS = """
import time
from pathlib import Path


def test_waits_for_its_end(pgstead_database):
    pgstead_database.connect().execute("SELECT 1")
    Path("ready").touch()
    time.sleep(300)
"""


@pytest.fixture
def project() -> Iterator[Project]:
    """Give a project in a directory that the servers' user can enter."""
    directory = short_directory()
    try:
        yield project_in(directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def outcomes(said: str) -> dict[str, str]:
    """Return the outcome of each test by its name."""
    found = re.findall(r"^(PASSED|FAILED|ERROR) \S+::(\S+)", said, re.MULTILINE)
    return {name: outcome for outcome, name in found}


def wanted_of(name: str) -> str:
    """Return the outcome that a test inside the project must have."""
    if "without_a_reason" in name:
        return "ERROR"
    return "FAILED" if "_connects_as_" in name else "PASSED"


def test_a_project_tests_on_databases_shaped_like_production(project: Project) -> None:
    project.write("tests/test_inside.py", INSIDE)
    for number, block in enumerate(page()):
        project.write(f"tests/test_page_{number}.py", block)
    done = project.run("-n", "2")
    told = outcomes(done.stdout)
    names = re.findall(r"def (test_\w+)", "".join([INSIDE, *page()]))
    assert {re.sub(r"\[.*", "", name): outcome for name, outcome in told.items()} == {
        name: wanted_of(name) for name in names
    }, done.stdout + done.stderr
    for role in ("'shop_migrator': it may become shop_owner", "'postgres': it is superuser"):
        assert f"this test connected as {role}" in done.stdout
    assert "say why: @pytest.mark.pgstead_privileged" in done.stdout
    assert project.left() == []
    until(lambda: not project.processes(), "who removed it ends too")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT], ids=["kill", "ctrl-c"])
def test_nothing_is_left_of_tests_that_are_ended(project: Project, how: signal.Signals) -> None:
    project.write("tests/test_waits.py", WAITS)
    with (project.directory / "said").open("wb") as said:
        process = subprocess.Popen(
            project.command,
            cwd=project.directory,
            env=project.environment,
            stdout=said,
            stderr=said,
        )
    try:
        ready = project.directory / "ready"
        until(lambda: ready.exists() or process.poll() is not None, "the test runs", 240)
        assert process.poll() is None, (project.directory / "said").read_text()
        assert project.left()
        process.send_signal(how)
    finally:
        if process.poll() is None and how == signal.SIGKILL:
            process.kill()
        process.wait(90)
    if how == signal.SIGINT:
        assert project.left() == [], "Ctrl-C returns before all is gone"
    until(lambda: not project.left() and not project.processes(), "all is gone", 60)


def test_a_manifest_that_does_not_fit_is_an_error_that_teaches(project: Project) -> None:
    project.write("tests/test_one.py", "def test_one(pgstead_database): pass\n")
    missing = project.run("--pgstead-manifest", "elsewhere/pgstead.toml").stdout
    assert f"there is no manifest at {project.directory}/elsewhere/pgstead.toml" in missing
    project.manifest('[[databases]]\nname = "stock"\n')
    several = project.run().stdout
    assert "the manifest has several databases (shop, stock)" in several
    assert 'pgstead_database = "shop"' in several
    unknown = project.run("--pgstead-database", "shops").stdout
    assert "the manifest has no database 'shops'" in unknown
    project.manifest("colour = 1")
    assert "databases[0].colour" in project.run().stdout
    assert project.left() == []


def test_a_project_that_asks_for_nothing_pays_nothing(tmp_path: Path) -> None:
    (tmp_path / "test_one.py").write_text(
        "import sys\n"
        "def test_one():\n"
        "    loaded = {'psycopg', 'sqlalchemy', 'pydantic', 'pgstead.testing.fresh'}\n"
        "    assert not loaded & set(sys.modules)\n"
    )
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "--rootdir=.",
        "-c",
        "/dev/null",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
