"""The engine's pool, which asks the circuit breaker before each checkout.

SQLAlchemy's QueuePool wakes none of those who wait for a place when somebody else's new connection
fails: with the database down they would wait for the whole time-out (30 s were seen) at an empty
pool. Here a failure hands its place on, and who has waited while the breaker opened is refused
like everybody else.
"""

from __future__ import annotations

import threading
from typing import Any, ClassVar, TypeVar, cast

from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection, QueuePool

# the only way to put a place into the pool that nobody has connected yet
from sqlalchemy.pool.base import _ConnectionRecord  # pyright: ignore[reportPrivateUsage]

from pgstead.app.beginning import driver_connection
from pgstead.app.breaker import Breaker, Permit
from pgstead.app.errors import Phase, UnavailableError
from pgstead.app.telemetry.instruments import Instruments

AnyPool = TypeVar("AnyPool", bound=QueuePool)


class _GuardedPool(QueuePool):
    breaker: ClassVar[Breaker]
    instruments: ClassVar[Instruments | None]
    entering: ClassVar[threading.local]  # the permit of a caller on the way from connect to _do_get

    def connect(self) -> PoolProxiedConnection:
        if self.instruments is None:
            return self._admitted()
        return self.instruments.acquiring(self._admitted)

    def _admitted(self) -> PoolProxiedConnection:
        permit = self.breaker.admit()
        # read a few calls deeper, before anything can wait: `_do_get` has no argument for it
        self.entering.permit = permit
        try:
            connection = super().connect()
            if permit.probe:
                connection = self._alive(connection)
                permit.connected()
        except BaseException as error:
            permit.settle(error)
            raise
        if not permit.probe:
            # a pooler lets clients in also when it has no server: only BEGIN tells
            driver_connection(connection.dbapi_connection).permit = permit
        return connection

    def _do_get(self) -> ConnectionPoolEntry:
        permit: Permit = self.entering.permit
        try:
            record = super()._do_get()
        except PoolTimeoutError:
            raise
        except BaseException:
            self._hand_place_on()
            raise
        if record.dbapi_connection is None and not self.breaker.holds(permit):
            self._do_return_conn(record)
            raise self.breaker.refusal()
        return record

    def _hand_place_on(self) -> None:
        if self._inc_overflow():
            self._do_return_conn(_ConnectionRecord(self, connect=False))

    def _alive(self, connection: PoolProxiedConnection) -> PoolProxiedConnection:
        """Return a connection over which the server has answered.

        One from before the outage may be dead, and a new one may lead to a pooler without server.
        """
        error = self._refusal(connection)
        if error is None:
            return connection
        # what is as old goes too, so the next one is a new one
        self._invalidate(connection, error)
        connection = super().connect()
        error = self._refusal(connection)
        if error is None:
            return connection
        connection.invalidate(error)
        raise UnavailableError(
            f"no answer from {self.breaker.target}: {str(error).partition(chr(10))[0]}",
            hint="is it running (`pgstead status`), and is this the right address?",
            phase=Phase.CONNECT,
        ) from error

    def _refusal(self, connection: PoolProxiedConnection) -> Exception | None:
        dialect: Any = self._dialect
        try:
            dialect.do_ping(connection.dbapi_connection)
        except dialect.loaded_dbapi.Error as error:
            return error
        return None


def guarded(
    pool: type[AnyPool], breaker: Breaker, instruments: Instruments | None = None
) -> type[AnyPool]:
    """Return a kind of QueuePool that asks the breaker, also after `dispose` made another one."""
    named = {"breaker": breaker, "instruments": instruments, "entering": threading.local()}
    return cast("type[AnyPool]", type("GuardedPool", (_GuardedPool, pool), named))
