"""The routes of `/dashboard`: read-only pages, for whom `/metrics` is for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import HTMLResponse

from pgstead.app import problems
from pgstead.app.dashboard import chart_pages, history, note_pages, status_page, worst
from pgstead.app.dashboard.history import Plot
from pgstead.app.dashboard.markup import Child, Html
from pgstead.app.dashboard.page import Place
from pgstead.app.dashboard.style import POLICY
from pgstead.app.health import Health
from pgstead.app.telemetry.reading import Reading
from pgstead.app.telemetry.samples import Note

_NO_AGENT = "nobody samples this database: it belongs to no stead that is watched"
_PATIENCE = 5.0  # seconds for all charts of a page
_HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "A page.", "content": {"text/html": {"schema": {"type": "string"}}}},
    403: {
        "description": "Not from there: telemetry.allow names networks.",
        "content": {"text/html": {"schema": {"type": "string"}}},
    },
    422: problems.RESPONSES[422],
}
_STATEMENTS = (
    "pg_stat_statements_calls_total",
    "pg_stat_statements_exec_seconds_total",
    "pg_stat_statements_entries",
    "pg_stat_statements_dealloc_total",
    "pg_statement_max_seconds",
    "pg_transaction_max_seconds",
)
_LOCKS = (
    "pg_blocked_backends",
    "pg_blocked_max_seconds",
    "pg_locks_count",
    "pg_locks_used_ratio",
    "pg_idle_in_transaction_count",
    "pg_idle_in_transaction_max_seconds",
    "pg_prepared_xacts_count",
    "pg_prepared_xacts_oldest_seconds",
    "pg_stat_database_deadlocks_total",
)

Hours = Annotated[int, Query(ge=1, le=744, description="How far back.")]
NotePage = Callable[[Place, Note | None, str], Html]


@dataclass(slots=True)
class Dashboard:
    """The pages of one service."""

    health: Health
    # apart from what /health and /metrics read: charts take longer
    _reading: Reading = field(default_factory=lambda: Reading(_PATIENCE))

    def router(self) -> APIRouter:
        """Return the routes."""
        router = APIRouter(
            tags=["health"], default_response_class=HTMLResponse, responses=_RESPONSES
        )

        @router.get("/dashboard", summary="Status at a glance, for people")
        async def status(request: Request) -> Response:
            return await self._answer(request, self._status)

        @router.get("/dashboard/hours", summary="The last hours as charts")
        async def hours(request: Request, hours: Hours = 6) -> Response:
            return await self._charts(request, "hours", history.HOURS, hours)

        @router.get("/dashboard/statements", summary="Statements: how many, how slow")
        async def statements(request: Request, hours: Hours = 6) -> Response:
            return await self._charts(request, "statements", history.STATEMENTS, hours, _STATEMENTS)

        @router.get("/dashboard/locks", summary="Locks: who waits, how long")
        async def locks(request: Request, hours: Hours = 6) -> Response:
            return await self._charts(request, "locks", history.LOCKS, hours, _LOCKS)

        @router.get("/dashboard/backups", summary="Backups and drills, and how they ended")
        async def backups(request: Request) -> Response:
            return await self._noted(request, "backups", note_pages.backups_page)

        @router.get("/dashboard/proofs", summary="What `pgstead prove` found")
        async def proofs(request: Request) -> Response:
            return await self._noted(request, "proofs", note_pages.proofs_page)

        return router

    async def _answer(self, request: Request, make: Callable[[Place], Awaitable[Html]]) -> Response:
        if not self.health.trusts(request):
            return HTMLResponse("forbidden", status_code=403, headers=_HEADERS)
        return HTMLResponse(await make(self._place(request)), headers=_HEADERS)

    def _place(self, request: Request) -> Place:
        known = self.health.database.settings
        root: str = request.scope.get("root_path", "")
        return Place(root.rstrip("/"), known.name, known.environment)

    async def _status(self, place: Place) -> Html:
        watching = self.health.watching
        # Reading lets two at a time; the alerts are the third
        facts, (checks, why), available = await asyncio.gather(
            self.health.probe(), watching.judged(), watching.availability()
        )
        alerts = await watching.alerts()
        return status_page.status_page(place, facts.error, checks, why, available, alerts)

    async def _charts(
        self,
        request: Request,
        name: str,
        plots: Sequence[Plot],
        hours: int,
        now: Sequence[str] = (),
    ) -> Response:
        async def make(place: Place) -> Html:
            samples = self.health.watching.samples
            if samples is None:
                return chart_pages.chart_page(place, name, hours, None, _NO_AGENT)
            past, why = await self._reading.of(
                lambda: chart_pages.read(samples, plots, hours, newest=bool(now))
            )
            more: Child = chart_pages.sums(past, now, "Now") if now else None
            if past is not None and name == "locks":
                more = [worst.trees(past.waits), more]
            elif past is not None and name == "statements":
                more = [worst.slowest(past.spent, hours), more]
            return chart_pages.chart_page(place, name, hours, past, why, more)

        return await self._answer(request, make)

    async def _noted(self, request: Request, name: str, make_page: NotePage) -> Response:
        async def make(place: Place) -> Html:
            samples = self.health.watching.samples
            if samples is None:
                return make_page(place, None, _NO_AGENT)
            found, why = await self._reading.of(lambda: samples.note(name))
            return make_page(place, found, why)

        return await self._answer(request, make)
