"""Units of work without an event loop, on a real server: decided as those with one."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from pgstead.app import errors
from pgstead.app.breaker import State
from pgstead.app.retry import Policy
from pgstead.app.sync import SyncDatabase
from pgstead.app.target import Driver
from pgstead.errors import UsageError
from systems.jeex_idea.models import Base, User
from tests.live.app.work import USER, address, settings
from tests.live.scratch import Scratch
from tests.live.service import down


@pytest.fixture
def database(scratch: Scratch) -> Iterator[SyncDatabase]:
    """Give a database, and a table of tallies."""
    with scratch.admin("jeex_idea") as admin:
        admin.execute("CREATE TABLE tally (n int, by text); GRANT ALL ON tally TO PUBLIC")
        admin.execute("INSERT INTO tally VALUES (1, 'first'), (2, 'second')")
    made = SyncDatabase(settings(scratch, Driver.PSYCOPG), metadata=Base.metadata)
    yield made
    made.close()
    with scratch.admin("jeex_idea") as admin:
        admin.execute("DROP TABLE tally")


INSERT = text("INSERT INTO tally VALUES (0, :by)")


def count(database: SyncDatabase, by: str) -> int:
    with database.session() as session:
        found = session.scalar(text("SELECT count(*) FROM tally WHERE by = :by"), {"by": by})
    return int(found or 0)


def test_a_connection_killed_in_the_middle_costs_the_caller_nothing(
    scratch: Scratch, database: SyncDatabase
) -> None:
    runs = 0

    def work(session: Session) -> str:
        nonlocal runs
        runs += 1
        session.execute(INSERT, {"by": "unit"})
        if runs == 1:
            pid = session.scalar(text("SELECT pg_backend_pid()"))
            with scratch.admin() as admin:
                admin.execute("SELECT pg_terminate_backend(%s, 1000)", [pid])
        session.execute(INSERT, {"by": "unit"})
        return "done"

    assert database.run(work) == "done"
    assert (runs, count(database, "unit")) == (2, 2)


def test_a_serialization_failure_at_commit_is_run_again(database: SyncDatabase) -> None:
    """Two threads read the sum and change different rows."""
    met, runs = threading.Barrier(2), threading.Semaphore(2)

    def unit(mine: int) -> None:
        def work(session: Session) -> None:
            first = runs.acquire(blocking=False)
            session.connection(execution_options={"isolation_level": "SERIALIZABLE"})
            total = session.scalar(text("SELECT sum(n) FROM tally"))
            if first:
                met.wait(30)
            values = {"total": total, "mine": mine}
            session.execute(text("UPDATE tally SET n = :total WHERE n = :mine"), values)
            if first:
                met.wait(30)

        database.run(work)

    threads = [threading.Thread(target=unit, args=(mine,)) for mine in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (database.units.counts.units, database.units.counts.retries) == (2, 1)


def test_a_violated_constraint_is_raised_at_once_with_its_name(database: SyncDatabase) -> None:
    runs, email = 0, address()

    def work(session: Session) -> None:
        nonlocal runs
        runs += 1
        for _ in range(2):
            session.execute(text(USER), {"email": email})

    with pytest.raises(errors.UniqueError, match=r"users\.email"):
        database.run(work)
    assert runs == 1


def test_a_server_that_takes_no_changes_is_tried_again_on_another_connection(
    database: SyncDatabase,
) -> None:
    seen: list[int] = []

    def work(session: Session) -> None:
        seen.append(session.scalar(text("SELECT pg_backend_pid()")) or 0)
        if len(seen) == 1:
            session.execute(text("SET TRANSACTION READ ONLY"))
        session.execute(INSERT, {"by": "unit"})

    database.run(work)
    assert len(set(seen)) == 2
    assert count(database, "unit") == 1


@pytest.mark.parametrize("how", ["commits", "begins another"])
def test_a_unit_neither_commits_nor_begins_another(database: SyncDatabase, how: str) -> None:
    def inner(session: Session) -> None:
        session.execute(INSERT, {"by": "unit"})

    def outer(session: Session) -> None:
        inner(session)
        if how == "commits":
            session.commit()
        else:
            database.run(inner)

    with pytest.raises(UsageError):
        database.run(outer)
    database.run(inner)  # and it is of use afterwards
    assert count(database, "unit") == 1


def test_a_unit_is_of_a_tenant_as_a_session_is(database: SyncDatabase) -> None:
    asked = text("SELECT current_setting('app.current_tenant_id')")
    assert database.run(lambda session: session.scalar(asked), tenant="acme") == "acme"
    assert database.run(lambda session: session.scalar(asked)) == ""


def test_what_it_returns_outlives_the_transaction(database: SyncDatabase) -> None:
    def work(session: Session) -> User:
        user = User(id=key, email=f"{key}@example.com", name="N")
        session.add(user)
        return user

    key = uuid.uuid4()
    user = database.run(work, user=key)
    assert (user.name, user.created_at is not None) == ("N", True)


def test_an_outage_ends_in_an_error_within_the_policy_and_opens_the_breaker(
    scratch: Scratch, database: SyncDatabase
) -> None:
    runs = 0

    def work(session: Session) -> None:
        nonlocal runs
        runs += 1
        session.execute(INSERT, {"by": "unit"})

    with ExitStack() as stack:
        stack.enter_context(down(scratch))
        while database.breaker.state is State.CLOSED:
            with pytest.raises(errors.UnavailableError):
                database.run(work, policy=Policy(attempts=3, deadline=5.0))
        with pytest.raises(errors.BreakerOpenError):
            database.run(work)
    assert count_when_back(database) == 0


def count_when_back(database: SyncDatabase) -> int:
    """Count as soon as the breaker lets a probe through."""
    while True:
        try:
            return count(database, "unit")
        except errors.BreakerOpenError:
            threading.Event().wait(0.05)
