"""Find out what became of a COMMIT whose answer was lost.

A connection that is cut before and after the server saw COMMIT looks the same to the client
(research: both drivers). So the transaction's id is asked for before COMMIT, one round trip, and
`pg_xact_status` afterwards, on another connection.

The id alone is not enough: **a crash can give the same id to another transaction** (tried on 18:
an insert, its id, SIGKILL of the backend; the next transaction had the same id and committed). So
the mark has an epoch beside the id: the timeline, which a failover changes, and the moment from
which the server's statistics count, which a crash changes and a clean restart does not. Where the
epoch is another one, `committed` may be said of somebody else, and is not believed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import Session, make_transient_to_detached
from sqlalchemy.orm.attributes import set_committed_value

from pgstead.app.errors import (
    CommitUnknownError,
    DatabaseError,
    NotCommittedError,
    UnavailableError,
    ValueRefusedError,
)
from pgstead.app.translation import translate

RESOLVE_WITHIN = 10.0  # seconds

# pg_walfile_name may not be called on a standby; pg_stat_wal may be read by everybody
_EPOCH = """
    concat_ws('/', extract(epoch FROM stats_reset), CASE WHEN NOT pg_is_in_recovery()
      THEN substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8) END)
"""
_MARK = text(
    f"SELECT CAST(pg_current_xact_id_if_assigned() AS text) AS xid, {_EPOCH} AS epoch"  # noqa: S608 - constants
    " FROM pg_stat_wal"
)
_ASK = text(
    f"SELECT pg_xact_status(CAST(CAST(:xid AS text) AS xid8)) AS status, {_EPOCH} AS epoch,"  # noqa: S608
    " pg_is_in_recovery() AS standby FROM pg_stat_wal"
)


@dataclass(frozen=True, slots=True)
class Mark:
    """A transaction that is about to commit. Without an id it has changed nothing."""

    xid: str | None
    epoch: str


class Status(StrEnum):
    """What the server says of a transaction; the first three are its own words."""

    COMMITTED = "committed"
    ABORTED = "aborted"
    IN_PROGRESS = "in progress"
    FUTURE = "in the future"  # the server has not come to that id
    FORGOTTEN = "forgotten"  # too long ago


@dataclass(frozen=True, slots=True)
class Told:
    """What a server said when it was asked."""

    status: Status
    epoch: str
    standby: bool = False


class Verdict(StrEnum):
    """What is believed."""

    DONE = "done"
    NOT_DONE = "not done"
    WAIT = "wait"
    UNKNOWN = "unknown"


def judge(mark: Mark, told: Told) -> Verdict:
    """Judge by what a server said, without ever taking another transaction for this one."""
    if mark.xid is None:
        return Verdict.NOT_DONE
    if told.standby:
        return Verdict.WAIT
    same = told.epoch == mark.epoch
    match told.status:
        case Status.COMMITTED:
            return Verdict.DONE if same else Verdict.UNKNOWN
        case Status.ABORTED:
            return Verdict.NOT_DONE
        case Status.IN_PROGRESS:
            return Verdict.WAIT
        case Status.FUTURE:
            # before a crash the id had been given, but nothing of it had reached the disk
            return Verdict.UNKNOWN if same else Verdict.NOT_DONE
        case Status.FORGOTTEN:
            return Verdict.UNKNOWN


def marked(connection: Connection) -> Mark:
    """Return the mark of a connection's transaction: the one round trip that certainty costs."""
    row = connection.execute(_MARK).one()
    return Mark(row.xid, row.epoch)


def asked(connection: Connection, mark: Mark) -> Verdict:
    """Ask the server what became of a transaction."""
    row = connection.execute(_ASK, {"xid": mark.xid}).one()
    status = Status(row.status) if row.status else Status.FORGOTTEN
    return judge(mark, Told(status, row.epoch, standby=row.standby))


def asked_of_the_future(connection: Connection, mark: Mark) -> Verdict:
    """Judge where the server refuses to say anything of an id that it has not given yet."""
    return judge(mark, Told(Status.FUTURE, marked(connection).epoch))


# the second one where the server refuses the first (22023): it has not come to that id
QUESTIONS = (asked, asked_of_the_future)


def pauses() -> Generator[float]:
    """Yield how long to wait between questions, in seconds."""
    pause = 0.02
    while True:
        yield pause
        pause = min(0.5, pause * 2)


def not_done(unknown: CommitUnknownError) -> NotCommittedError:
    """Return the error for a COMMIT that is known not to have been done."""
    return NotCommittedError(
        "the connection was lost while committing, and nothing was done",
        hint="send it again",
        sqlstate=unknown.sqlstate,
    )


async def identify(session: AsyncSession) -> Mark:
    """Return the mark of the session's transaction."""
    return await (await session.connection()).run_sync(marked)


async def settle(
    engine: AsyncEngine,
    mark: Mark,
    *,
    within: float = RESOLVE_WITHIN,
    clock: Callable[[], float] = time.monotonic,
) -> Verdict:
    """Ask until there is a verdict; after `within` seconds it is unknown."""
    until = clock() + within
    for pause in pauses():
        verdict = await _once(engine, mark)
        if verdict is not Verdict.WAIT:
            return verdict
        if clock() + pause > until:
            break
        await asyncio.sleep(pause)
    return Verdict.UNKNOWN


async def _once(engine: AsyncEngine, mark: Mark) -> Verdict:
    if mark.xid is None:
        return Verdict.NOT_DONE
    for question in QUESTIONS:
        try:
            async with engine.connect() as connection:
                return await connection.run_sync(question, mark)
        except Exception as error:
            meaning = translate(error)
            if isinstance(meaning, UnavailableError):
                return Verdict.WAIT
            if not isinstance(meaning, ValueRefusedError):
                raise
    return Verdict.WAIT


@dataclass(frozen=True, slots=True)
class Kept:
    """What a session's objects held before COMMIT.

    Where the answer is lost SQLAlchemy takes everything back: new objects become transient, others
    expire. If the server did commit, that is wrong; here is how they were.
    """

    objects: tuple[tuple[Any, dict[str, Any]], ...] = ()

    @classmethod
    def of(cls, session: AsyncSession | Session) -> Kept:
        """Keep what the session holds, flushed."""
        return cls(tuple((row, dict(inspect(row).dict)) for row in session.identity_map.values()))

    def restore(self) -> None:
        """Give the objects back what they held; they are detached, as after any session's end."""
        for row, values in self.objects:
            if inspect(row).transient:
                make_transient_to_detached(row)
            names = inspect(row).mapper.attrs.keys()
            for name in values.keys() & set(names):
                set_committed_value(row, name, values[name])


@asynccontextmanager
async def certain(
    engine: AsyncEngine, opened: AbstractAsyncContextManager[AsyncSession]
) -> AsyncGenerator[AsyncSession]:
    """Wrap a transaction that commits at its end: a lost COMMIT is resolved where that can be.

    Done, it ends as if nothing had happened; not done, in NotCommittedError, after which the work
    may be done again; else in CommitUnknownError.
    """
    mark: Mark | None = None
    kept = Kept()
    try:
        async with opened as session:
            yield session
            await session.flush()
            if session.in_transaction():
                mark = await identify(session)
                kept = Kept.of(session)
    except CommitUnknownError as error:
        if mark is None:
            raise
        verdict = await _settled(engine, mark, error)
        if verdict is Verdict.UNKNOWN:
            raise
        if verdict is Verdict.NOT_DONE:
            raise not_done(error) from error
        kept.restore()


async def _settled(engine: AsyncEngine, mark: Mark, unknown: CommitUnknownError) -> Verdict:
    try:
        return await settle(engine, mark)
    except (DatabaseError, DBAPIError) as error:
        raise unknown from error
