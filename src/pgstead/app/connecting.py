"""Open a connection with either driver, and name what went wrong in one way for both.

asyncpg raises bare OSError and TimeoutError, which SQLAlchemy lets through, so that nobody can tell
them from those of the application; psycopg tells every failure to connect without a SQLSTATE.
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg  # pyright: ignore[reportMissingTypeStubs] - it ships none
import psycopg

from pgstead.app.errors import LoginRefusedError, Phase, UnavailableError
from pgstead.app.target import Driver, Target

Creator = Callable[..., Awaitable[Any]]

# libpq's words for class 28, which it does not hand on as a code
_REFUSALS = ("authentication failed", "not permitted to log in", "no pg_hba.conf entry")


def connector(target: Target) -> Creator:
    """Return the driver's own connect with its failures named."""
    untyped: Any = asyncpg
    opens: Creator = (
        untyped.connect if target.driver is Driver.ASYNCPG else psycopg.AsyncConnection.connect
    )

    async def connect(*arguments: Any, **keywords: Any) -> Any:
        try:
            return await opens(*arguments, **keywords)
        except (OSError, TimeoutError, psycopg.Error, untyped.PostgresError) as error:
            raise _named(error, target.place, target.user) from error

    return connect


def _named(error: Exception, place: str, user: str) -> UnavailableError:
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
