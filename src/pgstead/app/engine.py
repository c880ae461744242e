"""The engine and its sessions: SQLAlchemy on asyncpg, or on psycopg.

Set up so that both are right behind a pooler in transaction mode, and before the server itself.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import MetaData, event
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.pool import AsyncAdaptedQueuePool, QueuePool

from pgstead.app.breaker import Breaker
from pgstead.app.connecting import connector
from pgstead.app.connection import Figures
from pgstead.app.environment import Settings
from pgstead.app.pool import guarded
from pgstead.app.retry import Policy, Result, Units, Work
from pgstead.app.translation import translate


@dataclass(frozen=True, slots=True)
class PoolState:
    """The pool of this process as it is now."""

    size: int
    in_use: int
    idle: int
    overflow: int
    limit: int

    @property
    def available(self) -> int:
        """How many more requests get a connection at once."""
        return self.limit - self.in_use


class Database:
    """One database for one process: an engine, its pool and its sessions.

    Sessions do not expire on commit, and are committed by `transaction` alone. The password is
    read for every new connection and is in no URL, so no `repr` or log can show it.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        metadata: MetaData | None = None,
        program: str = "",
        pre_ping: bool = True,
        autoflush: bool = True,
        breaker: Breaker | None = None,
    ) -> None:
        """Make the engine; nothing connects yet."""
        self.settings = settings
        self.metadata = metadata
        self.breaker = breaker or Breaker(settings.target.place)
        self.engine = _engine(settings, program or settings.name, self.breaker, pre_ping=pre_ping)
        self.units = Units(self.engine)
        self.sessions = async_sessionmaker(self.engine, expire_on_commit=False, autoflush=autoflush)

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[AsyncSession]:
        """Commit at the end, roll back on any failure; errors come out as `DatabaseError`."""
        committing = False
        try:
            async with self.sessions() as session:
                yield session
                committing = True
                await session.commit()
        except Exception as error:
            meaning = translate(error, self.metadata, committing=committing)
            if meaning is None or meaning is error:
                raise
            self.breaker.learn(meaning)
            raise meaning from error

    async def run(self, work: Work[Result], *, policy: Policy | None = None) -> Result:
        """Run a unit of work in a transaction; again from its start where that is safe."""
        return await self.units.run(work, self.transaction, policy=policy)

    def pool(self) -> PoolState:
        """Return the pool's numbers; they are this process's own."""
        pool = self.engine.pool
        assert isinstance(pool, QueuePool)
        figures = self.settings.figures
        return PoolState(
            size=figures.size,
            in_use=pool.checkedout(),
            idle=pool.checkedin(),
            overflow=max(0, pool.overflow()),
            limit=figures.limit,
        )

    async def close(self) -> None:
        """Close every connection."""
        await self.engine.dispose()


def _engine(settings: Settings, program: str, breaker: Breaker, *, pre_ping: bool) -> AsyncEngine:
    target, figures = settings.target, settings.figures
    arguments = target.driver_arguments(program)
    arguments["async_creator_fn"] = connector(target)
    engine = create_async_engine(
        target.url,
        connect_args=arguments,
        echo=settings.echo,
        hide_parameters=True,
        poolclass=guarded(AsyncAdaptedQueuePool, breaker),
        pool_pre_ping=pre_ping,
        pool_use_lifo=True,
        **_pool(figures),
    )

    @event.listens_for(engine.sync_engine, "do_connect")
    def _(_dialect: Any, _record: Any, _arguments: list[Any], keywords: dict[str, Any]) -> None:
        if target.password is not None:
            keywords["password"] = target.password()

    return engine


def _pool(figures: Figures) -> dict[str, Any]:
    return {
        "pool_size": figures.size,
        "max_overflow": figures.max_overflow,
        "pool_timeout": figures.timeout,
        "pool_recycle": figures.recycle,
    }
