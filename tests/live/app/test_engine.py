"""The engine on a real server, with both drivers: doors, TLS, errors, passwords."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest
from psycopg import sql
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from pgstead.app import errors
from pgstead.app.connection import Figures, read
from pgstead.app.engine import Database
from pgstead.app.environment import Settings
from pgstead.app.target import Driver, Target
from tests.free_ports import free_port
from tests.live.app.work import USER, address, execute, opened, settings, work
from tests.live.certify import certify
from tests.live.scratch import NASTY, Scratch


def test_it_connects_with_tls_1_3_and_its_name(scratch: Scratch, driver: Driver) -> None:
    row = execute(
        settings(scratch, driver),
        "SELECT s.ssl, s.version, a.application_name, a.usename FROM pg_stat_ssl s"
        " JOIN pg_stat_activity a USING (pid) WHERE pid = pg_backend_pid()",
    )
    assert tuple(row) == (True, "TLSv1.3", "tests", "jeex_idea_app")


def test_a_server_of_another_ca_is_refused(
    scratch: Scratch, driver: Driver, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    certify(tmp_path, tmp_path / "data")
    known = settings(scratch, driver)
    known = replace(known, target=replace(known.target, ca=tmp_path / "ca.crt"))
    with pytest.raises(errors.UnavailableError):
        execute(known, "SELECT 1")


def test_a_server_of_another_name_is_refused(scratch: Scratch, driver: Driver) -> None:
    known = settings(scratch, driver)
    known = replace(known, target=replace(known.target, host="127.0.0.2"))
    with pytest.raises(errors.UnavailableError):
        execute(known, "SELECT 1")


def test_a_closed_port_is_unavailable_and_names_the_place_or_what_to_do(
    scratch: Scratch, driver: Driver
) -> None:
    known = settings(scratch, driver)
    known = replace(known, target=replace(known.target, port=free_port()))
    with pytest.raises(errors.UnavailableError) as caught:
        execute(known, "SELECT 1")
    assert caught.value.status == 503
    assert caught.value.hint


def test_too_many_connections_are_unavailable(scratch: Scratch, driver: Driver) -> None:
    with scratch.admin() as admin:
        admin.execute("ALTER ROLE jeex_idea_app CONNECTION LIMIT 0")
        try:
            with pytest.raises(errors.UnavailableError):
                execute(settings(scratch, driver), "SELECT 1")
        finally:
            admin.execute("ALTER ROLE jeex_idea_app CONNECTION LIMIT -1")


@pytest.mark.parametrize("killed", ["idle", "at work"])
def test_a_connection_that_is_killed_is_unavailable_and_the_pool_recovers(
    scratch: Scratch, driver: Driver, killed: str
) -> None:
    async def use(database: Database) -> None:
        async with database.transaction() as session:
            pid = await session.scalar(text("SELECT pg_backend_pid()"))
            if killed == "idle":
                kill(scratch, pid)
                await asyncio.sleep(0.2)
            else:
                asyncio.get_running_loop().call_later(0.2, kill, scratch, pid)
            await session.execute(text("SELECT pg_sleep(30)"))

    async def whole() -> None:
        async with opened(settings(scratch, driver)) as database:
            with pytest.raises(errors.UnavailableError):
                await use(database)
            async with database.transaction() as session:
                assert await session.scalar(text("SELECT 1")) == 1

    asyncio.run(whole())


def kill(scratch: Scratch, pid: int) -> None:
    """End a backend."""
    with scratch.admin() as admin:
        admin.execute("SELECT pg_terminate_backend(%s)", [pid])


def test_a_connection_lost_at_commit_is_unknown(scratch: Scratch, driver: Driver) -> None:
    with scratch.admin("jeex_idea") as admin:
        admin.execute(
            """
            CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS
              $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$;
            GRANT EXECUTE ON FUNCTION die() TO PUBLIC;
            CREATE CONSTRAINT TRIGGER die AFTER INSERT ON users DEFERRABLE INITIALLY DEFERRED
              FOR EACH ROW EXECUTE FUNCTION die()
            """
        )
        try:
            with pytest.raises(errors.CommitUnknownError):
                execute(settings(scratch, driver), USER, email=address())
        finally:
            admin.execute("DROP TRIGGER die ON users; DROP FUNCTION die()")


def test_a_pool_without_a_free_connection_says_so(scratch: Scratch, driver: Driver) -> None:
    async def whole() -> None:
        known = settings(scratch, driver, figures=Figures(1, 0, 0.2, 840))
        async with opened(known) as database, database.transaction() as session:
            await session.execute(text("SELECT 1"))
            assert (database.pool().in_use, database.pool().available) == (1, 0)
            with pytest.raises(errors.PoolExhaustedError):
                async with database.transaction() as other:
                    await other.execute(text("SELECT 1"))

    asyncio.run(whole())


def test_a_task_that_is_cancelled_gives_its_connection_back(
    scratch: Scratch, driver: Driver
) -> None:
    async def whole() -> None:
        known = settings(scratch, driver, figures=Figures(1, 0, 5.0, 840))
        async with opened(known) as database:

            async def sleep() -> None:
                async with database.transaction() as session:
                    await session.execute(text("SELECT pg_sleep(30)"))

            task = asyncio.create_task(sleep())
            await asyncio.sleep(0.5)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            async with database.transaction() as session:
                assert await session.scalar(text("SELECT 1")) == 1

    asyncio.run(whole())


def test_a_failure_rolls_everything_back(scratch: Scratch, driver: Driver) -> None:
    email = address()
    with pytest.raises(errors.UniqueError):
        execute(settings(scratch, driver), USER, USER, email=email)

    async def fail(session: AsyncSession) -> None:
        await session.execute(text(USER), {"email": email})
        raise LookupError

    with pytest.raises(LookupError):
        work(settings(scratch, driver), fail)
    with scratch.admin("jeex_idea") as admin:
        found = admin.execute("SELECT FROM users WHERE email = %s", [email])
        assert found.rowcount == 0


def test_names_and_passwords_may_hold_anything(scratch: Scratch, driver: Driver) -> None:
    name = 'o\'b %d "x" ü'
    path = scratch.add_database(name)
    file = read(path, name)
    target = Target.from_file(file, driver=driver)
    known = Settings(name, "test", target, Figures(), echo=False, file=file)
    try:
        row = execute(known, "SELECT current_user, current_database()")
    finally:
        with scratch.admin() as admin:
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
            for role in ("app", "migrator", "admin", "readonly", "owner"):
                admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(f"{name}_{role}")))
    assert tuple(row) == (f"{name}_app", name)


def test_a_rotated_password_needs_no_restart(scratch: Scratch, driver: Driver) -> None:
    passfile = scratch.folder / ".pgstead" / "passfiles" / "jeex_idea_app"
    before = passfile.read_text()

    async def whole() -> None:
        async with opened(settings(scratch, driver)) as database:
            async with database.transaction() as session:
                await session.execute(text("SELECT 1"))
            with scratch.admin() as admin:
                admin.execute("ALTER ROLE jeex_idea_app PASSWORD 'another one'")
            passfile.write_text("*:*:*:jeex_idea_app:another one\n")
            await database.engine.dispose()
            async with database.transaction() as session:
                assert await session.scalar(text("SELECT 1")) == 1

    try:
        asyncio.run(whole())
    finally:
        passfile.write_text(before)
        with scratch.admin() as admin:
            admin.execute(sql.SQL("ALTER ROLE jeex_idea_app PASSWORD {}").format(NASTY))


def test_no_password_is_in_a_repr_or_an_error(scratch: Scratch, driver: Driver) -> None:
    known = settings(scratch, driver)
    database = Database(known)
    told = f"{known!r} {known.target!r} {database.engine!r} {database.engine.url!r}"
    with scratch.admin() as admin:
        admin.execute("ALTER ROLE jeex_idea_app PASSWORD 'changed'")
        try:
            with pytest.raises(errors.LoginRefusedError, match="authentication failed") as caught:
                execute(known, "SELECT 1")
        finally:
            admin.execute(sql.SQL("ALTER ROLE jeex_idea_app PASSWORD {}").format(NASTY))
    assert NASTY not in told + str(caught.value) + repr(caught.value)


def test_a_url_from_the_environment_reaches_the_same(scratch: Scratch, driver: Driver) -> None:
    from urllib.parse import quote

    url = (
        f"postgresql+{driver}://jeex_idea_app:{quote(NASTY, safe='')}@127.0.0.1:{scratch.port}"
        f"/jeex_idea?sslrootcert={quote(str(scratch.ca))}"
    )
    target = Target.from_url(url, variable="JEEX_DATABASE_URL")
    known = settings(scratch, driver, target=target)
    assert execute(known, "SELECT current_user")[0] == "jeex_idea_app"
    assert json.dumps(str(target.url)).find("p%41") == -1
