"""How the driver is set up, and why: found out by asking what is at the other end.

Nothing tells a client that a pooler stands between, or which version it has. Two things show it:

* the process id that came with the connection is the pooler's invention, so it differs from
  `pg_backend_pid()`;
* a pooler that keeps track of prepared statements (PgBouncer 1.21 and newer, unless
  `max_prepared_statements` is 0) gives them names of its own, so the name that was asked for is not
  in `pg_prepared_statements`.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from psycopg import generators

from pgstead.app.beginning import AsyncpgConnection, PsycopgAsyncConnection, driver_connection
from pgstead.app.connection import Pooler
from pgstead.app.errors import UnavailableError
from pgstead.app.target import Driver

_PID: Final = "SELECT pg_backend_pid()"
_NAMES: Final = "SELECT name FROM pg_prepared_statements"


class PoolerTooOldError(UnavailableError):
    """Prepared statements were asked for, and the pooler would mix them up."""

    code = "pooler-too-old"


class Way(StrEnum):
    """What lies between the application and the server."""

    DIRECT = "direct"  # nothing
    UNTRACKED = "untracked"  # a pooler that does not know prepared statements
    TRACKED = "tracked"  # one that does


@dataclass(frozen=True, slots=True)
class Profile:
    """What was chosen for this engine's connections; `reason` is for people."""

    way: Way | None  # None: not connected yet
    prepares: bool  # whether the driver keeps prepared statements
    reason: str

    def arguments(self, driver: Driver) -> dict[str, Any]:
        """Return what the driver is told; where it prepares these are its own defaults."""
        if driver is Driver.ASYNCPG:
            # both caches: with SQLAlchemy's left on, a changed column type gives wrong values
            size = 100 if self.prepares else 0
            return {"statement_cache_size": size, "prepared_statement_cache_size": size}
        return {"prepare_threshold": 5 if self.prepares else None}


UNKNOWN: Final = Profile(None, prepares=False, reason="not connected yet: safe behind any pooler")


def told_direct() -> Profile:
    """Return the profile of a door that is known to be the server's own."""
    return Profile(Way.DIRECT, prepares=True, reason="the server's own door")


def choose(way: Way, pooler: Pooler | None, *, fast: bool) -> Profile:
    """Choose by what was found; `fast` asks for prepared statements through a pooler.

    Raises PoolerTooOldError where they would be another client's.
    """
    version = f"PgBouncer {pooler.version}" if pooler and pooler.version else "the pooler"
    if way is Way.DIRECT:
        return Profile(way, prepares=True, reason="no pooler stands between")
    if way is Way.UNTRACKED and fast:
        raise PoolerTooOldError(
            f"prepared statements were asked for, but {version} does not keep track of them",
            hint="leave `fast` out, or run PgBouncer 1.21 or newer with max_prepared_statements;"
            " else a statement gets the rows of another client's",
        )
    if way is Way.UNTRACKED:
        return Profile(
            way,
            prepares=False,
            reason=f"{version} does not track prepared statements (before 1.21, or switched off)",
        )
    if fast:
        return Profile(way, prepares=True, reason=f"asked for, and {version} tracks them")
    return Profile(
        way,
        prepares=False,
        reason=f"{version} tracks prepared statements, but after a column changed its type they"
        " would fail or give wrong values until RECONNECT; `fast=True` takes that on",
    )


def find_way(adapted: Any) -> Way:
    """Ask over a new connection what it leads through. Takes two or three round trips."""
    driver = driver_connection(adapted)
    if isinstance(driver, AsyncpgConnection):
        return adapted.run_async(_ask_asyncpg)
    if isinstance(driver, PsycopgAsyncConnection):
        return adapted.run_async(_ask_psycopg)
    return _ask_synchronously(driver)


async def _ask_asyncpg(driver: Any) -> Way:
    async with driver.transaction():
        if await driver.fetchval(_PID) == driver.get_server_pid():
            return Way.DIRECT
        name = _name()
        statement = await driver.prepare("SELECT 1", name=name)
        names = [row["name"] for row in await driver.fetch(_NAMES)]
        way = _way_by(name, names)
        if way is Way.UNTRACKED:
            await driver.execute(f"DEALLOCATE {name}")
            statement._state.mark_closed()  # noqa: SLF001 - asyncpg would close it once more
        return way


async def _ask_psycopg(driver: Any) -> Way:
    async with driver.transaction():
        cursor = await driver.execute(_PID)
        if await _first(cursor.fetchone) == driver.pgconn.backend_pid:
            return Way.DIRECT
        name = _name()
        await driver.wait(_prepare(driver, name))
        cursor = await driver.execute(_NAMES)
        names = [row[0] for row in await cursor.fetchall()]
        await driver.wait(driver._deallocate(name.encode()))  # noqa: SLF001
        return _way_by(name, names)


def _ask_synchronously(driver: Any) -> Way:
    with driver.transaction():
        if driver.execute(_PID).fetchone()[0] == driver.pgconn.backend_pid:
            return Way.DIRECT
        name = _name()
        driver.wait(_prepare(driver, name))
        names = [row[0] for row in driver.execute(_NAMES).fetchall()]
        driver.wait(driver._deallocate(name.encode()))  # noqa: SLF001
        return _way_by(name, names)


async def _first(fetch: Callable[[], Awaitable[Any]]) -> Any:
    return (await fetch())[0]


def _prepare(driver: Any, name: str) -> Generator[Any, Any]:
    driver.pgconn.send_prepare(name.encode(), b"SELECT 1")
    yield from generators.execute(driver.pgconn)


def _name() -> str:
    """Return a name that no other client uses: behind an old pooler they share them."""
    return f"pgstead_{uuid.uuid4().hex}"


def _way_by(name: str, names: list[str]) -> Way:
    return Way.UNTRACKED if name in names else Way.TRACKED
