"""The scope of a transaction on real servers: what it sets, how long it lasts, what it refuses."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import func, insert, select, text, update
from sqlalchemy.exc import InvalidRequestError

from pgstead.app import errors
from pgstead.app.connection import Figures
from pgstead.app.engine import Database
from pgstead.app.scope import (
    OPTION,
    TENANT,
    AutocommitError,
    Scope,
    ScopeChangedError,
    ScopeInvalidError,
    UnscopedError,
)
from pgstead.app.sync import SyncDatabase
from pgstead.app.target import Driver
from tests.live.app import hammer
from tests.live.app.hammer import Line, Note
from tests.live.app.ways import settings_to, way_to
from tests.live.scratch import Scratch

Work = Callable[[Database], Awaitable[Any]]

IDENTITIES = text(
    "SELECT current_setting('app.current_tenant_id', true),"
    " current_setting('app.current_user_id', true), current_setting('app.correlation_id', true)"
)


@pytest.fixture(scope="module", params=["direct", "at hand", "trixie"])
def way(request: pytest.FixtureRequest, scratch: Scratch) -> Iterator[str]:
    """Give each way in turn."""
    hammer.prepare(scratch)
    with way_to(scratch, request.param):
        yield request.param


@pytest.fixture
def do(way: str, scratch: Scratch, driver: Driver) -> Callable[[Work], Any]:
    """Give what runs work on a database whose pool has a single connection."""

    def run(work: Work) -> Any:
        async def whole() -> Any:
            known = settings_to(scratch, driver, figures=Figures(1, 0, 5.0, 840))
            database = Database(known, metadata=hammer.Base.metadata)
            try:
                return await work(database)
            finally:
                assert database.pool().in_use == 0
                await database.close()

        return asyncio.run(whole())

    return run


async def identities(database: Database, **scope: Any) -> tuple[str, ...]:
    async with database.session(**scope) as session:
        return tuple((await session.execute(IDENTITIES)).one())


def test_it_is_there_for_one_transaction_and_empty_in_the_next(do: Any) -> None:
    async def work(database: Database) -> None:
        told = await identities(database, tenant="acme", user="u1", correlation_id="c1")
        assert told == ("acme", "u1", "c1")
        assert await identities(database) == ("", "", "")
        assert await identities(database, user="u2") == ("", "u2", "")

    do(work)


def test_whatever_can_be_an_identity_arrives_as_it_is(do: Any) -> None:
    names = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=255)
    told = st.one_of(names, st.sampled_from(["'", "\\", "\\'", "''", "E'", "$$", "%s", ":x", "{}"]))

    @hypothesis_settings(max_examples=12, deadline=None, database=None)
    @given(st.lists(told, min_size=10, max_size=10))
    def all_of(identities_given: list[str]) -> None:
        async def work(database: Database) -> None:
            for identity in identities_given:
                assert (await identities(database, tenant=identity))[0] == identity

        do(work)

    all_of()


def test_time_outs_isolation_and_read_only_hold_for_the_transaction(do: Any) -> None:
    names = ("statement_timeout", "lock_timeout", "transaction_isolation", "transaction_read_only")
    settings = ", ".join(f"current_setting('{name}')" for name in names)
    question = text(f"SELECT {settings}")

    async def ask(database: Database, **scope: Any) -> tuple[str, ...]:
        async with database.session(**scope) as session:
            return tuple((await session.execute(question)).one())

    async def work(database: Database) -> None:
        before = await ask(database)
        told = await ask(
            database,
            statement_timeout=1.5,
            lock_timeout=0.2,
            isolation="serializable",
            read_only=True,
        )
        assert told == ("1500ms", "200ms", "serializable", "on")
        assert await ask(database) == before
        with pytest.raises(errors.TooSlowError):
            async with database.session(statement_timeout=0.05) as session:
                await session.execute(text("SELECT pg_sleep(2)"))
        assert await ask(database) == before

    do(work)


def test_a_savepoint_and_a_commit_in_the_middle_keep_it(do: Any) -> None:
    async def work(database: Database) -> None:
        async with database.session(tenant="acme") as session:
            async with session.begin_nested() as savepoint:
                await session.execute(text("SELECT 1"))
                await savepoint.rollback()
            assert (await session.execute(IDENTITIES)).one()[0] == "acme"
            await session.commit()
            assert (await session.execute(IDENTITIES)).one()[0] == "acme"
            await session.rollback()
            assert (await session.execute(IDENTITIES)).one()[0] == "acme"

    do(work)


def test_a_session_that_has_ended_cannot_begin_again(do: Any) -> None:
    async def work(database: Database) -> None:
        async with database.session(tenant="acme") as session:
            await session.execute(text("SELECT 1"))
        with pytest.raises(InvalidRequestError):
            await session.execute(text("SELECT 1"))

    do(work)


def test_what_fails_in_the_prelude_fails_the_session_and_no_later_one(
    do: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(database: Database) -> None:
        with monkeypatch.context() as patched:
            for prelude in ("SELECT 1/0", "SET TRANSACTION nonsense", "SELECT set_config('x')"):
                patched.setattr(Scope, "prelude", lambda _scope, sql=prelude: sql)
                for _ in range(3):
                    with pytest.raises(Exception, match=r".") as caught:
                        await identities(database, tenant="acme")
                    assert not isinstance(caught.value, errors.UnavailableError)
                    # as an engine would be used: the connection stays open after the failure
                    async with database.engine.connect() as connection:
                        options = {OPTION: Scope(tenant="acme")}
                        scoped = await connection.execution_options(**options)
                        with pytest.raises(Exception, match=r"."):
                            await scoped.execute(IDENTITIES)
        assert await identities(database) == ("", "", "")
        assert await identities(database, tenant="b") == ("b", "", "")

    do(work)


def test_connections_that_died_in_the_pool_cost_no_request_anything(
    way: str, scratch: Scratch, driver: Driver
) -> None:
    async def whole() -> None:
        database = Database(settings_to(scratch, driver, figures=Figures(3, 0, 5.0, 840)))
        met = asyncio.Barrier(3)

        async def once() -> None:
            async with database.session(tenant="acme") as session:
                await session.execute(text("SELECT 1"))
                await met.wait()  # so that each takes a connection of its own

        try:
            for _ in range(3):
                await asyncio.gather(*(once() for _ in range(3)))
                cut_all(scratch)
                await asyncio.gather(*(once() for _ in range(3)))
                assert database.pool().idle == 3
        finally:
            await database.close()

    asyncio.run(whole())


def cut_all(scratch: Scratch) -> None:
    """End the connections of the application: those of the pooler where there is one."""
    if scratch.pooler is not None:
        scratch.restart_pooler()
        return
    with scratch.admin() as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE usename = 'jeex_idea_app'"
        )


def test_autocommit_is_refused_wherever_it_is_asked_for(do: Any) -> None:
    async def work(database: Database) -> None:
        asked: dict[str, Any] = {"isolation_level": "AUTOCOMMIT"}
        with pytest.raises(AutocommitError) as caught:
            database.engine.execution_options(**asked)
        assert "migrator" in caught.value.hint
        async with database.engine.connect() as connection:
            with pytest.raises(AutocommitError):
                await connection.execution_options(**asked)
        with pytest.raises(AutocommitError):
            async with database.session(tenant="acme") as session:
                await session.connection(execution_options=asked)
        assert await identities(database) == ("", "", "")

    do(work)


def test_autocommit_that_was_switched_on_at_the_driver_is_refused(do: Any, driver: Driver) -> None:
    if driver is Driver.ASYNCPG:
        pytest.skip("asyncpg has no such switch")

    async def work(database: Database) -> None:
        async with database.engine.connect() as connection:
            bare: Any = (await connection.get_raw_connection()).driver_connection
            await bare.set_autocommit(True)
            with pytest.raises(AutocommitError):
                await connection.execute(text("SELECT 1"))
            await bare.set_autocommit(False)

    do(work)


@pytest.mark.parametrize(
    "statement",
    [
        text("SET LOCAL app.current_tenant_id = 'b'"),
        text("SELECT set_config('app.current_tenant_id', 'b', true)"),
        text("SELECT set_config(:name, 'b', false)").bindparams(name=TENANT),
        select(func.set_config(TENANT, "b", True)),
        text("COMMIT"),
        text("ROLLBACK"),
    ],
    ids=str,
)
def test_a_change_inside_the_transaction_is_refused_with_what_to_do(
    do: Any, statement: Any
) -> None:
    async def work(database: Database) -> None:
        with pytest.raises(ScopeChangedError) as caught:
            async with database.session(tenant="acme") as session:
                await session.execute(statement)
        assert "session" in caught.value.hint
        assert await identities(database, tenant="b") == ("b", "", "")

    do(work)


def test_another_scope_for_a_transaction_that_runs_is_refused(do: Any) -> None:
    async def work(database: Database) -> None:
        async with database.engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
            with pytest.raises(ScopeChangedError):
                await connection.execution_options(**{OPTION: Scope(tenant="b")})

    do(work)


@pytest.mark.parametrize(
    "statement",
    [
        select(Note),
        select(Note.id).join(Note.lines),
        select(func.count()).select_from(select(Line).subquery()),
        insert(Note).values(id=hammer.note_id("a", 9), tenant_id="a"),
        update(Line).values(tenant_id="b"),
        text("SELECT count(*) FROM public.hammer_notes n"),
        text('DELETE FROM "hammer_lines"'),
    ],
    ids=str,
)
def test_a_table_of_tenants_is_refused_to_a_session_without_a_tenant(
    do: Any, statement: Any
) -> None:
    async def work(database: Database) -> None:
        scopes: list[dict[str, Any]] = [{}, {"user": "u1"}]
        for scope in scopes:
            with pytest.raises(UnscopedError, match="hammer_") as caught:
                async with database.session(**scope) as session:
                    await session.execute(statement)
            assert "db.session(tenant=...)" in caught.value.hint

    do(work)


def test_across_tenants_says_that_it_is_meant_and_policies_still_decide(do: Any) -> None:
    async def work(database: Database) -> None:
        async with database.session(across_tenants=True) as session:
            assert (await session.scalars(select(Note))).all() == []
        async with database.session(tenant=hammer.TENANTS[0]) as session:
            assert len((await session.scalars(select(Note))).all()) == 2

    do(work)


def test_a_session_of_another_tenant_inside_is_a_transaction_of_its_own(
    way: str, scratch: Scratch, driver: Driver
) -> None:
    async def whole() -> None:
        database = Database(settings_to(scratch, driver))
        try:
            async with database.session(tenant="a") as outer:
                assert (await outer.execute(IDENTITIES)).one()[0] == "a"
                assert (await identities(database, tenant="b"))[0] == "b"
                assert (await outer.execute(IDENTITIES)).one()[0] == "a"
        finally:
            await database.close()

    asyncio.run(whole())


def test_what_cannot_be_a_tenant_is_refused_before_anything_is_sent(do: Any) -> None:
    async def work(database: Database) -> None:
        with pytest.raises(ScopeInvalidError, match="names nobody"):
            await identities(database, tenant="")

    do(work)


def test_the_synchronous_twin_does_the_same(way: str, scratch: Scratch) -> None:
    known = settings_to(scratch, Driver.ASYNCPG, figures=Figures(1, 0, 5.0, 840))
    database = SyncDatabase(known, metadata=hammer.Base.metadata)

    def told(**scope: Any) -> tuple[str, ...]:
        with database.session(**scope) as session:
            return tuple(session.execute(IDENTITIES).one())

    try:
        assert told(tenant="acme", user="u") == ("acme", "u", "")
        assert told() == ("", "", "")
        with database.session(tenant=hammer.TENANTS[3]) as session:
            assert {note.tenant_id for note in session.scalars(select(Note))} == {"tenant-03"}
        with pytest.raises(UnscopedError), database.session() as session:
            session.execute(select(Note))
        with pytest.raises(AutocommitError), database.session() as session:
            session.connection(execution_options={"isolation_level": "AUTOCOMMIT"})
        with pytest.raises(ScopeChangedError), database.session() as session:
            session.execute(text("COMMIT"))
        cut_all(scratch)
        assert told(tenant="acme") == ("acme", "", "")
        assert database.profile.prepares is (way == "direct")
    finally:
        database.close()
