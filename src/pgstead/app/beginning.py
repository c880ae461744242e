"""The beginning of a transaction: BEGIN with the scope in it, and a pooled connection found alive.

Both drivers begin lazily, with a message of their own. Here that message also carries the settings
of the scope, as one simple query: `BEGIN;SELECT set_config(...)`. It is sent when SQLAlchemy says
that a transaction begins, so it is the pool's check as well: a connection that died while it lay in
the pool is found when nothing has been done yet, and another one takes its place. A healthy
connection pays nothing for that, where `pool_pre_ping` pays one to four round trips.

This leans on private parts of the drivers and of SQLAlchemy's adapters (bounded in pyproject.toml);
tests/live/app/test_beginning.py says what is expected of them.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Final

import asyncpg  # pyright: ignore[reportMissingTypeStubs] - it ships none
import psycopg
from psycopg import generators, pq
from sqlalchemy import Connection, Engine, event

from pgstead.app.breaker import Permit
from pgstead.app.scope import NOBODY, OPTION, AutocommitError, Scope, ScopeChangedError

_EMPTY: Final = NOBODY.prelude()

# The pooler's words when it has no room: to come again at once would only add to the queue.
_OVERLOADED: Final = ("query_wait_timeout", "no more connections", "max_client_conn")
# Its words when it has no server. It lets clients in all the same, so BEGIN is where that is told.
_SERVERLESS: Final = ("server_login_retry", "login has been failing", "cannot connect to server")

_untyped: Any = asyncpg


class AsyncpgConnection(_untyped.Connection):
    """asyncpg, with the prelude in BEGIN."""

    __slots__ = ("failure", "permit", "prelude", "waited")

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        """Begin as nobody until told otherwise."""
        _untyped.Connection.__init__(self, *arguments, **keywords)
        self.prelude = _EMPTY
        self.waited = False  # in the pool, where a connection may die unseen
        self.failure: BaseException | None = None
        self.permit: Permit | None = None  # of the breaker, which waits for how BEGIN goes

    async def execute(self, query: str, *args: Any, **keywords: Any) -> str:
        """Run a statement; asyncpg begins with `BEGIN...;` here."""
        execute = _untyped.Connection.execute
        if args or not query.startswith("BEGIN"):
            return await execute(self, query, *args, **keywords)
        try:
            return await execute(self, f"{query}{self.prelude}", **keywords)
        except _untyped.PostgresError:
            await self._undo()
            raise
        except BaseException:
            self.terminate()  # cut or cancelled in the middle: nobody knows what the server did
            raise

    async def _undo(self) -> None:
        """Roll back what began before the prelude failed.

        asyncpg believes that nothing began, so nobody else would: each later use of the connection
        would meet an aborted transaction.
        """
        connection: Any = self
        try:
            await _untyped.Connection.execute(connection, "ROLLBACK")
        except Exception:  # noqa: BLE001 - the failure of the prelude is what is told
            connection.terminate()
        except BaseException:
            connection.terminate()
            raise
        connection._top_xact = None  # noqa: SLF001


class _Psycopg:
    """What both connections of psycopg share."""

    prelude: str = _EMPTY
    waited: bool = False
    failure: BaseException | None = None
    permit: Permit | None = None

    def _exec_command(self, command: Any, result_format: Any = pq.Format.TEXT) -> Any:
        connection: Any = self
        if not (isinstance(command, bytes) and command.startswith(b"BEGIN")):
            plain: Any = super()
            generator: Generator[Any, Any, Any] = plain._exec_command(  # noqa: SLF001
                command, result_format
            )
            return (yield from generator)
        if connection._pipeline:  # noqa: SLF001
            raise AutocommitError(
                "a pipeline of psycopg cannot carry the scope of a transaction",
                hint="begin the transaction first, and the pipeline inside it",
            )
        connection._check_connection_ok()  # noqa: SLF001
        connection.pgconn.send_query(command + b";" + self.prelude.encode("ascii"))
        results = yield from generators.execute(connection.pgconn)
        for result in results:
            if result.status == pq.ExecStatus.FATAL_ERROR:
                raise psycopg.errors.error_from_result(result)
        return results[-1]


class PsycopgAsyncConnection(_Psycopg, psycopg.AsyncConnection[Any]):
    """psycopg, with the prelude in BEGIN."""


class PsycopgConnection(_Psycopg, psycopg.Connection[Any]):
    """The synchronous psycopg, with the prelude in BEGIN."""


def install(engine: Engine, *, limit: int) -> None:
    """Let every transaction of an engine begin with its scope; `limit` is the size of its pool."""

    @event.listens_for(engine, "begin")
    def _(connection: Connection) -> None:
        scope = connection.get_execution_options().get(OPTION, NOBODY)
        assert isinstance(scope, Scope)
        prelude = _EMPTY if scope is NOBODY else scope.prelude()
        attempts = 0
        while not _begin(connection, prelude, last=attempts == limit):
            attempts += 1

    # SQLAlchemy calls this right after the event, and knows what to do with what it raises
    setattr(engine.dialect, "do_begin", _raise_failure)  # noqa: B010 - a method is replaced

    @event.listens_for(engine.pool, "checkin")
    def _(adapted: Any, _record: Any) -> None:
        if adapted is not None:
            # else a connection taken from the pool past SQLAlchemy would begin as the last one did
            driver = driver_connection(adapted)
            driver.prelude, driver.waited, driver.permit = _EMPTY, True, None

    @event.listens_for(engine, "set_connection_execution_options")
    def _(connection: Connection, options: dict[str, Any]) -> None:
        refuse_autocommit(options)
        refuse_change(connection, options)

    @event.listens_for(engine, "set_engine_execution_options")
    def _(_engine: Engine, options: dict[str, Any]) -> None:
        refuse_autocommit(options)


def driver_connection(adapted: Any) -> Any:
    """Return the driver's own connection: SQLAlchemy wraps the asynchronous ones."""
    return getattr(adapted, "driver_connection", adapted)


def refuse_autocommit(options: dict[str, Any]) -> None:
    """Raise AutocommitError where options ask for no transaction."""
    if str(options.get("isolation_level", "")).upper() == "AUTOCOMMIT":
        raise AutocommitError(
            "AUTOCOMMIT was asked for: without BEGIN no tenant would be set, and one that somebody"
            " left on the connection would be",
            hint="use a session; what PostgreSQL runs outside of transactions only (VACUUM, CREATE"
            " INDEX CONCURRENTLY) belongs to the migrator, at the direct door",
        )


def refuse_change(connection: Connection, options: dict[str, Any]) -> None:
    """Raise ScopeChangedError where options bring another scope into a transaction that runs."""
    if OPTION not in options or not connection.in_transaction():
        return
    if connection.get_execution_options().get(OPTION, NOBODY) != options[OPTION]:
        raise ScopeChangedError(
            "the scope of a transaction was about to change while it ran",
            hint="one transaction is one tenant's: open another session for the other",
        )


def _begin(connection: Connection, prelude: str, *, last: bool) -> bool:
    """Send BEGIN now. Return False where a connection of the pool was found dead and let go."""
    adapted: Any = connection.connection.dbapi_connection
    driver = driver_connection(adapted)
    driver.prelude, driver.failure = prelude, None
    try:
        _send(adapted, driver)
    except BaseException as error:  # noqa: BLE001 - raised in a moment, where it is judged
        if not last and driver.waited and _was_lost(driver, error):
            connection.invalidate(error)
            return False
        driver.failure = error
    if driver.permit is not None:
        _report(driver, driver.failure)
    return True


def _report(driver: Any, failure: BaseException | None) -> None:
    """Tell the breaker whether there was a server behind the connection."""
    if failure is None:
        driver.permit.connected()
    elif any(word in str(failure) for word in _SERVERLESS) or _is_gone(driver, failure):
        driver.permit.failed(str(failure).partition("\n")[0])
    else:
        driver.permit.abandoned()  # refused, busy or cancelled: that says nothing of the next one


def _raise_failure(adapted: Any) -> None:
    failure = driver_connection(adapted).failure
    if failure is not None:
        raise failure


def _send(adapted: Any, driver: Any) -> None:
    if isinstance(driver, AsyncpgConnection):
        adapted.run_async(lambda _: adapted._start_transaction())  # pyright: ignore[reportUnknownLambdaType]  # noqa: SLF001
        begun = adapted._transaction is not None  # noqa: SLF001
    elif isinstance(driver, PsycopgAsyncConnection):
        adapted.run_async(_start)
        begun = not driver.autocommit
    else:
        with driver.lock:
            driver.wait(driver._start_query())  # noqa: SLF001
        begun = not driver.autocommit
    if not begun:
        refuse_autocommit({"isolation_level": "AUTOCOMMIT"})


async def _start(driver: Any) -> None:
    async with driver.lock:
        await driver.wait(driver._start_query())  # noqa: SLF001


def _was_lost(driver: Any, error: BaseException) -> bool:
    """Say whether another connection may do better."""
    return _is_gone(driver, error) and not any(word in str(error) for word in _SERVERLESS)


def _is_gone(driver: Any, error: BaseException) -> bool:
    if not isinstance(error, Exception) or not (
        driver.is_closed() if isinstance(driver, AsyncpgConnection) else driver.closed
    ):
        return False
    sqlstate: str = getattr(error, "sqlstate", None) or ""
    gone = not sqlstate or sqlstate[:2] == "08" or sqlstate[:3] == "57P"
    return gone and not any(word in str(error) for word in _OVERLOADED)
