"""Open a connection with either driver, and name what went wrong in one way for both.

asyncpg raises bare OSError and TimeoutError, which SQLAlchemy lets through, so that nobody can tell
them from those of the application; psycopg tells every failure to connect without a SQLSTATE.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import asyncpg  # pyright: ignore[reportMissingTypeStubs] - it ships none
import psycopg
from sqlalchemy import Engine, event
from sqlalchemy.exc import DisconnectionError

from pgstead.app.beginning import AsyncpgConnection, PsycopgAsyncConnection, PsycopgConnection
from pgstead.app.connection import Pooler
from pgstead.app.errors import LoginRefusedError, Phase, UnavailableError
from pgstead.app.passfile import Credential
from pgstead.app.profile import UNKNOWN, Profile, choose, find_way, told_direct
from pgstead.app.target import Driver, Target

_untyped: Any = asyncpg
FAILURES: Final = (OSError, TimeoutError, psycopg.Error, _untyped.PostgresError)

# in a connection's record: who logged in, and that nobody has taken it yet
_USER: Final = "pgstead_user"
_FRESH: Final = "pgstead_fresh"

Creator = Callable[..., Awaitable[Any]]

# libpq's words for class 28, which it does not hand on as a code
_REFUSALS = ("authentication failed", "not permitted to log in", "no pg_hba.conf entry")


def connector(target: Target) -> Creator:
    """Return what opens a connection of the asynchronous drivers, its failures named."""
    opens: Creator = _asyncpg if target.driver is Driver.ASYNCPG else PsycopgAsyncConnection.connect

    async def connect(*arguments: Any, **keywords: Any) -> Any:
        try:
            return await opens(*arguments, **keywords)
        except FAILURES as error:
            raise named(error, target) from error

    return connect


async def _asyncpg(*arguments: Any, **keywords: Any) -> Any:
    return await _untyped.connect(*arguments, connection_class=AsyncpgConnection, **keywords)


def install(engine: Engine, opening: Opening) -> None:
    """Open an engine's connections with the password as it is now, set up as is right.

    A pooled connection whose user is no longer the one that logs in is replaced when it is taken.
    """
    creator = connector(opening.target)

    @event.listens_for(engine, "do_connect")
    def _(dialect: Any, record: Any, arguments: list[Any], keywords: dict[str, Any]) -> Any:
        def connect(more: dict[str, Any]) -> Any:
            given = {**keywords, **opening.trusted(), **more}
            if not dialect.is_async:
                return _synchronously(opening.target, given)
            return dialect.connect(*arguments, **{**given, "async_creator_fn": creator})

        return opening.logged_in(record, connect)

    if opening.target.password is not None:

        @event.listens_for(engine, "checkout")
        def _(_connection: Any, record: Any, _proxy: Any) -> None:
            # One that was opened for this very checkout is right, whoever logs in by now:
            # SQLAlchemy opens two in place of another and then gives up.
            if not record.info.pop(_FRESH, False) and opening.left(record):
                raise DisconnectionError("its user's password is being changed")


@dataclass(slots=True)
class Opening:
    """How connections are opened; what stands between is asked over the first one."""

    target: Target
    pooler: Pooler | None
    fast: bool
    took: Callable[[float], None] | None = None  # told the seconds of each new connection
    profile: Profile = UNKNOWN
    context: ssl.SSLContext | None = None  # with the CA as it was read last
    mark: tuple[int, int] = (0, 0)  # of that file

    def __post_init__(self) -> None:
        """Ask nothing at a door that is told to be the server's own."""
        if not self.target.pooled:
            self.profile = told_direct()

    def logged_in(self, record: Any, connect: Callable[[dict[str, Any]], Any]) -> Any:
        """Open a connection as whoever logs in now.

        A password that was changed between reading and using it is no refusal: it is read again.
        """
        if self.target.password is None:
            return self.open(connect)
        given = self.target.password.credential()
        while True:
            try:
                return self._as(given, record, connect)
            except LoginRefusedError:
                before, given = given, self.target.password.credential()
                if given == before:
                    raise

    def _as(self, given: Credential, record: Any, connect: Callable[[dict[str, Any]], Any]) -> Any:
        if record is not None:
            record.info[_USER] = given.user
            record.info[_FRESH] = True
        login = {"user": given.user, "password": given.password}
        return self.open(lambda more: connect({**login, **more}))

    def left(self, record: Any) -> bool:
        """Say whether a pooled connection is of a user who logs in no longer."""
        password = self.target.password
        return password is not None and record.info.get(_USER) != password.user()

    def trusted(self) -> dict[str, ssl.SSLContext]:
        """Return whom asyncpg trusts, read anew where the file was changed; libpq does so itself.

        A CA is rotated while the application runs: for a time its file holds two.
        """
        target = self.target
        if target.driver is not Driver.ASYNCPG or target.ca is None or not target.encrypted:
            return {}
        try:
            seen = target.ca.stat()
            mark = (seen.st_mtime_ns, seen.st_ino)
            if mark != self.mark or self.context is None:
                self.context, self.mark = target.tls(), mark
        except (OSError, ssl.SSLError):
            if self.context is None:
                return {}
        return {"ssl": self.context}

    def open(self, connect: Callable[[dict[str, Any]], Any]) -> Any:
        """Open a connection with `connect`, which takes arguments beside its own."""
        began = time.perf_counter()
        opened = self._opened(connect)
        if self.took is not None:
            self.took(time.perf_counter() - began)
        return opened

    def _opened(self, connect: Callable[[dict[str, Any]], Any]) -> Any:
        driver = self.target.driver
        adapted = connect(self.profile.arguments(driver))
        if self.profile.way is not None:
            return adapted
        try:
            profile = choose(find_way(adapted), self.pooler, fast=self.fast)
        except FAILURES as error:
            adapted.close()
            raise named(error, self.target) from error
        except BaseException:
            adapted.close()
            raise
        self.profile = profile
        if not profile.prepares:
            return adapted
        adapted.close()  # it was opened for the unknown: asyncpg's caches cannot be changed now
        return connect(profile.arguments(driver))


def _synchronously(target: Target, keywords: dict[str, Any]) -> Any:
    try:
        return PsycopgConnection.connect(**keywords)
    except FAILURES as error:
        raise named(error, target) from error


def named(error: Exception, target: Target) -> UnavailableError:
    """Return what a failure to connect means."""
    place, user = target.place, target.user
    words = _words(error)
    sqlstate: str = getattr(error, "sqlstate", None) or ""
    if sqlstate[:2] == "28" or any(refusal in words for refusal in _REFUSALS):
        return LoginRefusedError(
            f"the login of {user!r} to {place} is refused: {words}",
            hint="is the password file the one of this stead? `pgstead up` writes it anew",
            sqlstate=sqlstate,
            phase=Phase.CONNECT,
        )
    if isinstance(error, ssl.SSLError) or "certificate" in words or "SSL" in words:
        return UnavailableError(
            f"no TLS connection to {place}: {words}",
            hint="does the CA of the connection file belong to this server?",
            phase=Phase.CONNECT,
        )
    return UnavailableError(
        f"no connection to {place}: {words}",
        hint="is it running (`pgstead status`), and is this the right address?",
        sqlstate=sqlstate,
        phase=Phase.CONNECT,
    )


def _words(error: Exception) -> str:
    """Return what the error says, in one line; of libpq's several the last one says why."""
    if isinstance(error, ssl.SSLError):
        return error.reason or str(error)
    if isinstance(error, OSError):
        return error.strerror or str(error) or type(error).__name__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    return lines[-1 if isinstance(error, psycopg.Error) else 0]
