"""The synchronous twin of `pgstead.app.engine`, on psycopg: for scripts, workers and shells."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

from sqlalchemy import MetaData, create_engine
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import QueuePool

from pgstead.app.breaker import Breaker
from pgstead.app.correlation import current
from pgstead.app.engine import (
    Options,
    PoolState,
    arguments,
    equip,
    give_keys,
    opening_of,
    pool_state,
)
from pgstead.app.environment import (
    Settings,
    settings_of_manifest,
    settings_of_prefix,
    settings_of_url,
)
from pgstead.app.pool import guarded
from pgstead.app.profile import Profile
from pgstead.app.retry import Policy
from pgstead.app.scope import OPTION, Identity, Limits, Scope
from pgstead.app.sync_units import Result, SyncUnits, Work
from pgstead.app.target import Driver
from pgstead.app.translation import translate


class SyncDatabase:
    """One database for one process, without an event loop; always psycopg.

    The same settings, the same scope and the same errors as `Database`.
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
    ) -> None:
        """Make the engine from settings or a URL; nothing connects yet."""
        given = settings_of_url(settings) if isinstance(settings, str) else settings
        known = replace(given, target=replace(given.target, driver=Driver.PSYCOPG))
        options = Options(metadata, program or known.name, pre_ping, autoflush, fast)
        self.settings = known
        self.metadata = metadata
        self._opening = opening_of(known, options)
        self.breaker = breaker or Breaker(known.target.place)
        self.engine = create_engine(
            known.target.url,
            poolclass=guarded(QueuePool, self.breaker),
            **arguments(known, options),
        )
        self.units = SyncUnits(engine=self.engine)
        equip(self.engine, self._opening, known.figures, metadata)
        self.sessions = sessionmaker(
            self.engine, expire_on_commit=False, autoflush=autoflush, close_resets_only=False
        )
        give_keys(self.sessions, known, metadata)

    @classmethod
    def from_env(
        cls, prefix: str, *, environ: Mapping[str, str] | None = None, **options: Any
    ) -> SyncDatabase:
        """Make it from the environment, as `Database.from_env`."""
        known = settings_of_prefix(prefix, environ=environ, driver=Driver.PSYCOPG)
        return cls(known, **options)

    @classmethod
    def from_manifest(
        cls,
        manifest: Path | str = "pgstead.toml",
        database: str | None = None,
        *,
        environ: Mapping[str, str] | None = None,
        **options: Any,
    ) -> SyncDatabase:
        """Make it for a database of a manifest that is up, as `Database.from_manifest`."""
        known = settings_of_manifest(
            Path(manifest), database, environ=environ, driver=Driver.PSYCOPG
        )
        return cls(known, **options)

    @property
    def profile(self) -> Profile:
        """How the driver is set up and why; known once a connection was made."""
        return self._opening.profile

    @contextmanager
    def session(
        self,
        *,
        tenant: Identity | None = None,
        user: Identity | None = None,
        scope: Scope | None = None,
        **limits: Unpack[Limits],
    ) -> Generator[Session]:
        """One transaction for one tenant: committed at the end, rolled back on any failure."""
        wanted = scope or Scope(tenant=tenant, user=user, **limits)
        committing = False
        try:
            with self.scoped(wanted) as session:
                yield session
                committing = True
                session.commit()
        except Exception as error:
            meaning = translate(error, self.metadata, committing=committing)
            if meaning is None or meaning is error:
                raise
            self.breaker.learn(meaning)
            raise meaning from error

    def run(
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
        return self.units.run(work, lambda: self.session(scope=wanted), policy=policy)

    def scoped(self, scope: Scope) -> Session:
        """Return a session of a scope, for those who commit by themselves."""
        named = scope.correlated(current())
        return self.sessions(execution_options={OPTION: named})

    def pool(self) -> PoolState:
        """Return the pool's numbers; they are this process's own."""
        return pool_state(self.engine.pool, self.settings.figures)

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()
