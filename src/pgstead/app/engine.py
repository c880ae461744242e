"""The engine and its sessions: SQLAlchemy on asyncpg, or on psycopg.

Set up so that both are right behind a pooler in transaction mode, and before the server itself.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack

from opentelemetry.metrics import Meter
from sqlalchemy import Engine, MetaData
from sqlalchemy.ext.asyncio import (
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import sessionmaker
from sqlalchemy.pool import AsyncAdaptedQueuePool, Pool, QueuePool

from pgstead.app import beginning, connecting, guard
from pgstead.app.breaker import Breaker
from pgstead.app.connecting import Opening
from pgstead.app.connection import Figures
from pgstead.app.correlation import current
from pgstead.app.encryption import KeyringError, attach, encrypted_columns
from pgstead.app.environment import (
    Settings,
    settings_of_manifest,
    settings_of_prefix,
    settings_of_url,
)
from pgstead.app.pool import guarded
from pgstead.app.profile import Profile
from pgstead.app.retry import Policy, Result, Units, Work
from pgstead.app.scope import OPTION, Identity, Limits, Scope
from pgstead.app.target import Driver
from pgstead.app.telemetry.instruments import Instruments
from pgstead.app.translation import translate

_log = logging.getLogger(__name__)


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


@dataclass(frozen=True, slots=True)
class Options:
    """What an application decides about its engine.

    `pre_ping` asks before each transaction whether a connection is alive, at the cost of round
    trips; without it BEGIN finds that out for nothing. `fast` keeps prepared statements behind a
    pooler that tracks them; see docs/explanation/sessions-and-scope.md for what that takes on.
    """

    metadata: MetaData | None = None
    program: str = ""
    pre_ping: bool = False
    autoflush: bool = True
    fast: bool = False


class Database:
    """One database for one process: an engine, its pool and its sessions.

    Sessions do not expire on commit, and are committed at their end. The password is read for
    every new connection and is in no URL, so no `repr` or log can show it.
    """

    def __init__(
        self,
        settings: Settings | str,
        *,
        metadata: MetaData | None = None,
        program: str = "",
        pre_ping: bool = False,
        autoflush: bool = True,
        fast: bool = False,
        breaker: Breaker | None = None,
        meter: Meter | None = None,
    ) -> None:
        """Make the engine from settings or a URL; nothing connects yet.

        `meter` makes the instruments of OpenTelemetry; without one nothing is measured.
        """
        known = settings_of_url(settings) if isinstance(settings, str) else settings
        options = Options(metadata, program or known.name, pre_ping, autoflush, fast)
        self.settings = known
        self.metadata = metadata
        self._opening = opening_of(known, options)
        self.breaker = breaker or Breaker(known.target.place)
        instruments = Instruments(meter, known.name) if meter is not None else None
        self.engine = create_async_engine(
            known.target.url,
            poolclass=guarded(AsyncAdaptedQueuePool, self.breaker, instruments),
            **arguments(known, options),
        )
        self.units = Units(engine=self.engine)
        equip(self.engine.sync_engine, self._opening, known.figures, metadata)
        if instruments is not None:
            self._opening.took = instruments.created
            instruments.install(self.engine.sync_engine)
            instruments.observe(self)
        self.sessions = async_sessionmaker(
            self.engine,
            expire_on_commit=False,
            autoflush=autoflush,
            close_resets_only=False,  # a session that has ended cannot begin again
        )
        give_keys(self.sessions, known, metadata)

    @classmethod
    def from_env(
        cls,
        prefix: str,
        *,
        environ: Mapping[str, str] | None = None,
        driver: Driver = Driver.ASYNCPG,
        **options: Any,
    ) -> Database:
        """Make it from the environment: `JEEX_DATABASE_URL`, or the connection file of `JEEX_`."""
        return cls(settings_of_prefix(prefix, environ=environ, driver=driver), **options)

    @classmethod
    def from_manifest(
        cls,
        manifest: Path | str = "pgstead.toml",
        database: str | None = None,
        *,
        environ: Mapping[str, str] | None = None,
        driver: Driver = Driver.ASYNCPG,
        **options: Any,
    ) -> Database:
        """Make it for a database of a manifest that is up; its only one where none is named."""
        known = settings_of_manifest(Path(manifest), database, environ=environ, driver=driver)
        return cls(known, **options)

    @property
    def profile(self) -> Profile:
        """How the driver is set up and why; known once a connection was made."""
        return self._opening.profile

    @asynccontextmanager
    async def session(
        self,
        *,
        tenant: Identity | None = None,
        user: Identity | None = None,
        scope: Scope | None = None,
        **limits: Unpack[Limits],
    ) -> AsyncGenerator[AsyncSession]:
        """One transaction for one tenant: committed at the end, rolled back on any failure.

        Errors come out as `DatabaseError`. A `scope` made beforehand is taken instead of `tenant`,
        `user` and what else describes one.
        """
        wanted = scope or Scope(tenant=tenant, user=user, **limits)
        committing = False
        try:
            session = self.scoped(wanted)
            try:
                yield session
                committing = True
                await session.commit()
            finally:
                await _end(session)
        except Exception as error:
            meaning = translate(error, self.metadata, committing=committing)
            if meaning is None or meaning is error:
                raise
            self.breaker.learn(meaning)
            raise meaning from error

    async def run(
        self,
        work: Work[Result],
        *,
        tenant: Identity | None = None,
        user: Identity | None = None,
        scope: Scope | None = None,
        policy: Policy | None = None,
        **limits: Unpack[Limits],
    ) -> Result:
        """Run a unit of work in a transaction as `session` makes one; again where that is safe."""
        wanted = scope or Scope(tenant=tenant, user=user, **limits)
        return await self.units.run(work, lambda: self.session(scope=wanted), policy=policy)

    def transaction(self) -> Any:
        """One transaction of nobody in particular; see `session`."""
        return self.session()

    def scoped(self, scope: Scope) -> AsyncSession:
        """Return a session of a scope, for those who commit by themselves."""
        named = scope.correlated(current())
        return self.sessions(execution_options={OPTION: named})

    def pool(self) -> PoolState:
        """Return the pool's numbers; they are this process's own."""
        return pool_state(self.engine.pool, self.settings.figures)

    async def close(self) -> None:
        """Close every connection."""
        await self.engine.dispose()


async def _end(session: AsyncSession) -> None:
    """Close a session. After COMMIT it holds no connection, so nothing has to be waited for.

    `AsyncSession.__aexit__` would begin a task for that too, so that nobody cancels it: two turns
    of the event loop for each request.
    """
    if session.sync_session.in_transaction():
        await session.__aexit__(None, None, None)
    else:
        session.sync_session.close()


def opening_of(known: Settings, options: Options) -> Opening:
    """Return how an engine's connections are opened."""
    pooler = known.file.pooler if known.file else None
    return Opening(known.target, pooler, options.fast)


def arguments(known: Settings, options: Options) -> dict[str, Any]:
    """Return what SQLAlchemy makes an engine of, asynchronous or not."""
    figures = known.figures
    return {
        "connect_args": known.target.driver_arguments(options.program),
        "echo": known.echo,
        "hide_parameters": True,
        "pool_pre_ping": options.pre_ping,
        "pool_use_lifo": True,
        "pool_size": figures.size,
        "max_overflow": figures.max_overflow,
        "pool_timeout": figures.timeout,
        "pool_recycle": figures.recycle,
    }


def equip(engine: Engine, opening: Opening, figures: Figures, metadata: MetaData | None) -> None:
    """Let an engine open, begin and guard its transactions as this module promises."""
    connecting.install(engine, opening)
    beginning.install(engine, limit=figures.limit)
    guard.install(engine, metadata)


def give_keys(
    sessions: async_sessionmaker[Any] | sessionmaker[Any],
    known: Settings,
    metadata: MetaData | None,
) -> None:
    """Let sessions read and write encrypted columns, where the models have some.

    Without keys an application starts all the same, so that its health can say what is wrong; what
    needs an encrypted column is an error with the way out.
    """
    tables = metadata.sorted_tables if metadata is not None else ()
    if known.keys is None or not any(encrypted_columns(table) for table in tables):
        return
    try:
        attach(sessions, known.keys())
    except KeyringError as error:
        _log.error("%s; hint: %s", error.message, error.hint)


def pool_state(pool: Pool, figures: Figures) -> PoolState:
    """Return the numbers of a pool."""
    assert isinstance(pool, QueuePool)
    return PoolState(
        size=figures.size,
        in_use=pool.checkedout(),
        idle=pool.checkedin(),
        overflow=max(0, pool.overflow()),
        limit=figures.limit,
    )
