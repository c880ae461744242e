"""The pooler is told to let go of its server connections while somebody logs in at the server."""

from __future__ import annotations

import time
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import psycopg
import pytest

from pgstead.apply import standins
from pgstead.apply.session import Session
from pgstead.model.resources import Role
from tests.fix_stead import LiveStead

ROLE = "jeex_readonly"


def ask(stead: LiveStead) -> int:
    # libpq looks for a certificate at home; the console acts as the servers' user meanwhile
    with stead.connect(ROLE, sslcert=str(stead.directory / "none")) as connection:
        row = connection.execute("SELECT 1").fetchone()
    assert row is not None
    return int(row[0])


def logging_in(stead: LiveStead) -> bool:
    rows = stead.wired.ports.console.rows("SHOW SERVERS")
    return any(row["state"] == "new" for row in rows)


@contextmanager
def somebody_logs_in(stead: LiveStead) -> Generator[Future[int]]:
    """Have a client wait for a server connection that takes three seconds to be opened."""
    with stead.superuser() as connection:  # kept, so that to take it back waits for no login
        connection.execute("ALTER SYSTEM SET pre_auth_delay = '3s'")
        connection.execute("SELECT pg_reload_conf()")
        try:
            stead.wired.ports.console.run("RECONNECT")
            with ThreadPoolExecutor(1) as threads:
                asked = threads.submit(ask, stead)
                end = time.monotonic() + 30
                while not logging_in(stead):
                    assert time.monotonic() < end
                    if asked.done():  # served or refused before we looked
                        stead.wired.ports.console.run("RECONNECT")
                        asked = threads.submit(ask, stead)
                    time.sleep(0.01)
                yield asked
        finally:
            connection.execute("ALTER SYSTEM RESET pre_auth_delay")
            connection.execute("SELECT pg_reload_conf()")


def test_who_comes_while_it_lets_go_of_its_connections_is_served(stead: LiveStead) -> None:
    with somebody_logs_in(stead) as asked:
        stead.wired.ports.console.at_rest("RECONNECT")
        assert ask(stead) == 1
        assert asked.result(30) == 1


def test_told_at_any_moment_it_refuses_who_comes_next(stead: LiveStead) -> None:
    """Without this the test above could not fail."""
    with somebody_logs_in(stead) as asked:
        stead.wired.ports.console.run("RECONNECT")
        with pytest.raises(psycopg.OperationalError, match="server login has been failing"):
            ask(stead)
        assert asked.result(30) == 1  # who waited already goes on waiting


def test_one_that_is_paused_stays_paused(stead: LiveStead) -> None:
    console = stead.wired.ports.console
    console.run("PAUSE")
    try:
        console.at_rest("RELOAD")
    finally:
        console.run("RESUME")  # refused where it does not wait any more
    assert ask(stead) == 1


def test_a_stand_in_made_again_goes_on_by_the_connections_that_are_there(
    stead: LiveStead,
) -> None:
    """A run that was killed is followed by one that makes the same stand-in."""
    design, password = stead.wired.design, "Correct-Horse-41"
    role = design.stead.find(Role, ROLE)
    assert role is not None
    with Session(stead.wired.ports.sql) as session:
        standins.make(role, password, design, session)
        try:
            with stead.connect(ROLE, user=f"{ROLE}_standin", password=password) as client:
                client.execute("SELECT 1")
                standins.make(role, password, design, session)
                stead.wired.ports.console.at_rest("RECONNECT")
                assert client.execute("SELECT current_user::text").fetchone() == (ROLE,)
        finally:
            standins.remove(ROLE, session)
