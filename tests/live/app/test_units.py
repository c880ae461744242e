"""Units of work on a real server: what is run again, what is not, and from where."""

from __future__ import annotations

import asyncio
import os
import signal
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Any

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from pgstead.app import commits, errors
from pgstead.app.commits import Verdict
from pgstead.app.engine import Database
from pgstead.app.retry import Policy
from pgstead.app.target import Driver
from pgstead.errors import UsageError
from tests.live.app.work import USER, address, opened, settings
from tests.live.scratch import Scratch
from tests.waiting import until


@pytest.fixture(autouse=True)
def table(scratch: Scratch) -> Iterator[None]:
    """Give a table that is empty."""
    with scratch.admin("jeex_idea") as admin:
        admin.execute("CREATE TABLE tally (n int, by text); GRANT ALL ON tally TO PUBLIC")
        admin.execute("INSERT INTO tally VALUES (1, 'first'), (2, 'second')")
    yield
    with scratch.admin("jeex_idea") as admin:
        admin.execute("DROP TABLE tally")


def on(scratch: Scratch, driver: Driver, what: Callable[[Database], Awaitable[Any]]) -> Any:
    """Do something with a database."""

    async def whole() -> Any:
        async with opened(settings(scratch, driver)) as database:
            return await what(database)

    return asyncio.run(whole())


def count(scratch: Scratch, by: str) -> int:
    with scratch.admin("jeex_idea") as admin:
        row = admin.execute("SELECT count(*) FROM tally WHERE by = %s", [by]).fetchone()
    assert row is not None
    return int(row[0])


INSERT = text("INSERT INTO tally VALUES (0, :by)")


def test_a_connection_killed_in_the_middle_costs_the_caller_nothing(
    scratch: Scratch, driver: Driver
) -> None:
    runs = 0

    async def work(session: AsyncSession) -> str:
        nonlocal runs
        runs += 1
        await session.execute(INSERT, {"by": "unit"})
        if runs == 1:
            pid = await session.scalar(text("SELECT pg_backend_pid()"))
            with scratch.admin() as admin:
                admin.execute("SELECT pg_terminate_backend(%s, 1000)", [pid])
        await session.execute(INSERT, {"by": "unit"})
        return "done"

    assert on(scratch, driver, lambda database: database.run(work)) == "done"
    assert (runs, count(scratch, "unit")) == (2, 2)


def test_a_serialization_failure_at_commit_is_run_again(scratch: Scratch, driver: Driver) -> None:
    """Two read the sum and change different rows: the server finds out at COMMIT."""
    runs = 0

    async def both(database: Database) -> None:
        met = asyncio.Barrier(2)

        def unit(mine: int) -> Callable[[AsyncSession], Awaitable[None]]:
            async def work(session: AsyncSession) -> None:
                nonlocal runs
                runs += 1
                first = runs <= 2
                await session.connection(execution_options={"isolation_level": "SERIALIZABLE"})
                total = await session.scalar(text("SELECT sum(n) FROM tally"))
                if first:
                    await met.wait()
                await session.execute(
                    text("UPDATE tally SET n = :total WHERE n = :mine OR by = :by"),
                    {"total": total, "mine": mine, "by": "none"},
                )
                if first:
                    await met.wait()

            return work

        await asyncio.gather(database.run(unit(1)), database.run(unit(2)))
        assert database.units.counts.retries == 1

    on(scratch, driver, both)
    assert runs == 3


def test_a_violated_constraint_is_not_swallowed_and_not_run_again(
    scratch: Scratch, driver: Driver
) -> None:
    runs = 0

    async def work(session: AsyncSession) -> None:
        nonlocal runs
        runs += 1
        for _ in range(2):
            await session.execute(text(USER), {"email": email})

    email = address()
    with pytest.raises(errors.UniqueError):
        on(scratch, driver, lambda database: database.run(work))
    assert runs == 1


def test_a_lock_that_somebody_keeps_is_tried_for_a_few_times(
    scratch: Scratch, driver: Driver
) -> None:
    runs = 0

    async def work(session: AsyncSession) -> None:
        nonlocal runs
        runs += 1
        await session.execute(text("SET LOCAL lock_timeout = '20ms'"))
        await session.execute(INSERT, {"by": "unit"})

    with scratch.admin("jeex_idea") as admin, admin.transaction():
        admin.execute("LOCK TABLE tally")
        with pytest.raises(errors.TooSlowError):
            on(scratch, driver, lambda database: database.run(work))
    assert runs == Policy().few


def test_a_schema_that_changes_under_the_statements_costs_the_caller_nothing(
    scratch: Scratch, driver: Driver
) -> None:
    async def both(database: Database) -> None:
        async def work(session: AsyncSession) -> list[int]:
            return list(await session.scalars(text("SELECT n FROM tally ORDER BY 1")))

        for _ in range(8):  # psycopg prepares what it has seen five times
            assert await database.run(work) == [1, 2]
        with scratch.admin("jeex_idea") as admin:
            admin.execute("ALTER TABLE tally ALTER n TYPE bigint")
        for _ in range(8):
            assert await database.run(work) == [1, 2]

    on(scratch, driver, both)


def test_a_server_that_takes_no_changes_is_tried_again_on_another_connection(
    scratch: Scratch, driver: Driver
) -> None:
    seen: list[int] = []

    async def work(session: AsyncSession) -> None:
        seen.append(await session.scalar(text("SELECT pg_backend_pid()")) or 0)
        if len(seen) == 1:
            await session.execute(text("SET TRANSACTION READ ONLY"))
        await session.execute(INSERT, {"by": "unit"})

    on(scratch, driver, lambda database: database.run(work))
    assert len(set(seen)) == 2
    assert count(scratch, "unit") == 1


def test_a_swallowed_error_does_not_make_a_rollback_look_like_a_commit(
    scratch: Scratch, driver: Driver
) -> None:
    """The server answers COMMIT of a failed transaction with ROLLBACK, which no driver minds."""

    async def work(session: AsyncSession) -> None:
        await session.execute(INSERT, {"by": "unit"})
        with suppress(DBAPIError):
            await session.execute(text("SELECT 1/0"))

    with pytest.raises(errors.DatabaseError):
        on(scratch, driver, lambda database: database.run(work))
    assert count(scratch, "unit") == 0


@pytest.mark.parametrize("how", ["commits", "begins another"])
def test_a_unit_neither_commits_nor_begins_another(
    scratch: Scratch, driver: Driver, how: str
) -> None:
    async def both(database: Database) -> None:
        async def inner(session: AsyncSession) -> None:
            await session.execute(INSERT, {"by": "unit"})

        async def outer(session: AsyncSession) -> None:
            await inner(session)
            if how == "commits":
                await session.commit()
            else:
                await database.run(inner)

        with pytest.raises(UsageError):
            await database.run(outer)

    on(scratch, driver, both)
    assert count(scratch, "unit") == 0


def test_savepoints_are_the_unit_s_own(scratch: Scratch, driver: Driver) -> None:
    async def work(session: AsyncSession) -> None:
        async with session.begin_nested():
            await session.execute(INSERT, {"by": "kept"})
        with suppress(LookupError):
            async with session.begin_nested():
                await session.execute(INSERT, {"by": "taken back"})
                raise LookupError

    on(scratch, driver, lambda database: database.run(work))
    assert (count(scratch, "kept"), count(scratch, "taken back")) == (1, 0)


def crash(scratch: Scratch, pid: int) -> None:
    """Kill a backend, so that the server recovers from its log; wait until it has."""
    with scratch.admin() as admin:
        before = admin.execute("SELECT stats_reset FROM pg_stat_wal").fetchone()
    os.kill(pid, signal.SIGKILL)

    def recovered() -> bool:
        try:
            with scratch.admin() as admin:
                return admin.execute("SELECT stats_reset FROM pg_stat_wal").fetchone() != before
        except psycopg.OperationalError:
            return False

    until(recovered, "the server has recovered")


def test_after_a_crash_another_transaction_s_commit_is_not_taken_for_ours(
    scratch: Scratch, driver: Driver
) -> None:
    """A crash can give the same id again; only the epoch tells the two apart."""

    async def whole(database: Database) -> None:
        for _ in range(10):  # whether anything reached the disk is a race
            marked = await lost_in_a_crash(database)
            with scratch.connect() as other:
                other.execute("INSERT INTO tally VALUES (0, 'somebody')")
                row = other.execute("SELECT pg_current_xact_id()::text").fetchone()
                other.commit()
            verdict = await commits.settle(database.engine, marked, within=5)
            assert verdict is not Verdict.DONE
            if row == (marked.xid,):
                # the server says `committed` of this id: that is somebody else's
                assert verdict is Verdict.UNKNOWN
                forged = commits.Mark(marked.xid, await epoch(database))
                assert await commits.settle(database.engine, forged) is Verdict.DONE
                return
        pytest.fail("no id was given again in ten crashes: the drill proves nothing")

    async def lost_in_a_crash(database: Database) -> commits.Mark:
        await database.engine.dispose()
        marked = None
        with suppress(errors.DatabaseError):
            async with database.transaction() as session:
                await session.execute(INSERT, {"by": "lost"})
                marked = await commits.identify(session)
                crash(scratch, await session.scalar(text("SELECT pg_backend_pid()")) or 0)
                await session.execute(text("SELECT 1"))
        assert marked is not None
        return marked

    async def epoch(database: Database) -> str:
        async with database.transaction() as session:
            return (await commits.identify(session)).epoch

    on(scratch, driver, whole)
    assert count(scratch, "lost") == 0


def test_an_undone_transaction_that_the_disk_never_saw_is_not_done(
    scratch: Scratch, driver: Driver
) -> None:
    async def whole(database: Database) -> None:
        marked = commits.Mark(str(2**40 + 773), "before a crash")
        assert await commits.settle(database.engine, marked) is Verdict.NOT_DONE
        async with database.transaction() as session:
            nothing = await commits.identify(session)
        assert nothing.xid is None
        assert nothing.epoch.endswith("/00000001")

    on(scratch, driver, whole)


def test_a_clean_restart_keeps_the_epoch(scratch: Scratch, driver: Driver) -> None:
    async def whole(database: Database) -> None:
        async def work(session: AsyncSession) -> None:
            await session.execute(INSERT, {"by": str(uuid.uuid4())})
            marks.append(await commits.identify(session))

        marks: list[commits.Mark] = []
        await database.run(work)
        scratch.stop()
        scratch.start()
        await database.run(work)
        assert marks[0].epoch == marks[1].epoch
        assert await commits.settle(database.engine, marks[0]) is Verdict.DONE

    on(scratch, driver, whole)
