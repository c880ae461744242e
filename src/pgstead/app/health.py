"""Health over HTTP: is the process alive, is the database there, is it the right one.

The probe goes through the application's own pool, for that is the way of every request. It runs
once at a time, however many ask, and an answer is given within a second even where the database
hangs: whoever asks waits for the probe, the probe is not cancelled (a hung connection takes long
to be let go).
"""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import time
from dataclasses import dataclass, field
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from pgstead.app import role_guard
from pgstead.app.engine import Database
from pgstead.app.errors import DatabaseError
from pgstead.app.telemetry.checks import status_of, told_of
from pgstead.app.telemetry.watching import Watching
from pgstead.app.translation import translate

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

LOOPBACK: tuple[Network, ...] = (
    ipaddress.ip_network("127.0.0.0/8"),
    ipaddress.ip_network("::1/128"),
)
ANSWER_WITHIN = 0.8  # seconds from a probe's begin
_A_MOMENT = 0.05  # seconds
GIVE_UP_AFTER = 30.0  # seconds after which a hung probe is cancelled

_FACTS = text(
    """
    SELECT current_setting('server_version') AS version,
           current_setting('max_connections')::int AS max_connections,
           pg_is_in_recovery() AS in_recovery,
           (SELECT sum(numbackends)::int FROM pg_stat_database) AS connections,
           to_regclass('alembic_version') IS NOT NULL AS migrated
    """
)
_REVISIONS = text("SELECT version_num FROM alembic_version ORDER BY version_num")


@dataclass(frozen=True, slots=True)
class Facts:
    """What one probe found."""

    version: str = ""
    connections: int | None = None
    max_connections: int | None = None
    in_recovery: bool | None = None
    unbound: str = ""  # why policies do not bind the role
    revisions: tuple[str, ...] = ()
    acquire_ms: float | None = None
    latency_ms: float | None = None
    error: str = ""


@dataclass(slots=True)
class Health:
    """The health of one application and its database."""

    database: Database
    heads: tuple[str, ...]  # revisions that the application was built for
    version: str
    watching: Watching
    networks: tuple[Network, ...] = LOOPBACK
    _began: float = field(default_factory=time.monotonic)
    _started: bool = False
    _running: asyncio.Task[Facts] | None = None
    _running_since: float = 0.0

    async def probe(self) -> Facts:
        """Ask the database, or say that it has not answered in time."""
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._ask())
            self._running_since = time.monotonic()
        task = self._running
        # one that hangs has had its time: who asks next need not wait for it as long
        left = self._running_since + ANSWER_WITHIN - time.monotonic()
        await asyncio.wait({task}, timeout=max(left, _A_MOMENT))
        if task.done():
            facts = task.result()
            self._started = self._started or not self.objection(facts)
            return facts
        waiting = time.monotonic() - self._running_since
        return Facts(error=f"the database has not answered for {waiting:.1f} s")

    async def close(self) -> None:
        """End a probe that still runs."""
        if self._running is not None and not self._running.done():
            self._running.cancel()
            await asyncio.wait({self._running}, timeout=ANSWER_WITHIN)

    def objection(self, facts: Facts) -> str:
        """Return why the application may not serve, empty where nothing is in the way."""
        if facts.error:
            return facts.error
        if facts.unbound:
            return f"row-level security does not bind the application's role: {facts.unbound}"
        if self.heads and facts.revisions != self.heads:
            found = ", ".join(facts.revisions) or "no revision"
            return (
                f"the database is at {found}, this application was built for"
                f" {', '.join(self.heads)}: run `alembic upgrade head` (or `pgstead up`)"
            )
        return ""

    async def _ask(self) -> Facts:
        try:
            async with asyncio.timeout(GIVE_UP_AFTER):
                return await self._facts()
        except (DatabaseError, TimeoutError) as error:
            meaning = translate(error)
            return Facts(error=meaning.message if meaning else "the database hangs")

    async def _facts(self) -> Facts:
        began = time.perf_counter()
        async with self.database.transaction() as session:
            await session.connection()
            acquired = time.perf_counter()
            row = (await session.execute(_FACTS)).one()
            answered = time.perf_counter()
            revisions = await _revisions(session) if row.migrated else ()
            unbound = await role_guard.objection(session)
        return Facts(
            version=row.version,
            connections=row.connections,
            max_connections=row.max_connections,
            in_recovery=row.in_recovery,
            unbound=unbound,
            revisions=revisions,
            acquire_ms=round((acquired - began) * 1000, 2),
            latency_ms=round((answered - acquired) * 1000, 2),
        )

    def router(self) -> APIRouter:
        """Return the routes, to be mounted where the service wants them."""
        router = APIRouter(tags=["health"])

        @router.get("/health", summary="Healthy: the database answers", responses=_DOWN)
        async def healthy(request: Request) -> JSONResponse:
            facts = await self.probe()
            return self._answer(
                request,
                "unhealthy" if facts.error else "healthy",
                ok=not facts.error,
                service=self.database.settings.name,
                version=self.version,
                environment=self.database.settings.environment,
                uptime_seconds=round(time.monotonic() - self._began, 1),
                database="disconnected" if facts.error else "connected",
                error=facts.error or None,
            )

        @router.get(
            "/health/live", summary="Alive: the process answers, whatever the database does"
        )
        async def live(request: Request) -> JSONResponse:
            uptime = round(time.monotonic() - self._began, 1)
            return self._answer(request, "alive", ok=True, uptime_seconds=uptime)

        @router.get(
            "/health/ready",
            summary="Ready: the database is there, at the right revision",
            responses=_DOWN,
        )
        async def ready(request: Request) -> JSONResponse:
            facts = await self.probe()
            objection = self.objection(facts)
            return self._answer(
                request,
                "not_ready" if objection else "ready",
                ok=not objection,
                database="disconnected" if facts.error else "connected",
                revisions=list(facts.revisions),
                built_for=list(self.heads),
                error=objection or None,
            )

        @router.get("/health/startup", summary="Started: it has been ready once", responses=_DOWN)
        async def startup(request: Request) -> JSONResponse:
            objection = "" if self._started else self.objection(await self.probe())
            return self._answer(
                request,
                "starting" if objection else "started",
                ok=not objection,
                error=objection or None,
            )

        @router.get("/health/db", summary="The database in numbers", responses=_DOWN)
        async def database(request: Request) -> JSONResponse:
            facts, (checks, why), available = await asyncio.gather(
                self.probe(), self.watching.judged(), self.watching.availability()
            )
            status = status_of(facts.error, checks)
            return self._answer(
                request,
                status,
                ok=status != "unhealthy",
                **self._database(facts),
                **told_of(checks, why),
                availability=available,
            )

        return router

    def _database(self, facts: Facts) -> dict[str, Any]:
        pool = self.database.pool()
        return {
            "database": "postgresql",
            "name": self.database.settings.name,
            "version": facts.version or None,
            "error": facts.error or None,
            "role": None if facts.in_recovery is None else _role(in_recovery=facts.in_recovery),
            "connections": facts.connections,
            "max_connections": facts.max_connections,
            "pool_size": pool.size,
            "available_connections": pool.available,
            "overflow_connections": pool.overflow,
            "connections_in_use": pool.in_use,
            "pool_limit": pool.limit,
            "breaker": self.database.breaker.state,
            "pooled": self.database.settings.target.pooled,
            "prepared_statements": self.database.profile.prepares,
            "prepared_statements_reason": self.database.profile.reason,
            "acquire_ms": facts.acquire_ms,
            "latency_ms": facts.latency_ms,
        }

    def _answer(self, request: Request, status: str, *, ok: bool, **more: Any) -> JSONResponse:
        now = dt.datetime.now(dt.UTC).isoformat()
        body: dict[str, Any] = {"status": status}
        if self.trusts(request):
            body |= {"timestamp": now, **more}
        headers = {"Cache-Control": "no-store"} | ({} if ok else {"Retry-After": "2"})
        return JSONResponse(body, status_code=200 if ok else 503, headers=headers)

    def trusts(self, request: Request) -> bool:
        """Say whether the caller may see more than the status."""
        try:
            address = ipaddress.ip_address(request.client.host if request.client else "")
        except ValueError:
            return False
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        return any(address in network for network in self.networks)


_DOWN: Final[dict[int | str, dict[str, Any]]] = {
    503: {
        "description": "It is not; `Retry-After` says when to ask again.",
        "content": {"application/json": {"schema": {"type": "object"}}},
    }
}


def _role(*, in_recovery: bool) -> str:
    return "standby" if in_recovery else "primary"


async def _revisions(session: AsyncSession) -> tuple[str, ...]:
    rows = await session.execute(_REVISIONS)
    return tuple(str(revision) for (revision,) in rows)
