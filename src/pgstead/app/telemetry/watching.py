"""What a service measures and shows: its provider of meters, the stead's samples, `/metrics`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from opentelemetry.metrics import Meter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from prometheus_client.metrics_core import Metric as Family

from pgstead.app import problems
from pgstead.app.connection import Watched
from pgstead.app.environment import Settings
from pgstead.app.telemetry import exporting
from pgstead.app.telemetry.alerts import Alerts, alerts_of, of_alerts
from pgstead.app.telemetry.checks import told_availability
from pgstead.app.telemetry.exposition import Exposition, of_instruments, of_samples
from pgstead.app.telemetry.reading import Reading
from pgstead.app.telemetry.samples import Judged, Samples
from pgstead.app.telemetry.tracing import Tracing
from pgstead.model import alerts as alerting
from pgstead.model.availability import NOTE

if TYPE_CHECKING:
    from pgstead.app.engine import Database

_log = logging.getLogger(__name__)
_FLUSH = 3  # seconds
_PATIENCE = 0.6  # seconds with the file of samples
_NO_AGENT = "nobody samples this database: it belongs to no stead that is watched"

_TEXT: Mapping[str, Any] = {"schema": {"type": "string"}}
_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "All that is known now.",
        "content": {"text/plain": _TEXT, "application/openmetrics-text": _TEXT},
    },
    403: {
        "description": "Not from there: telemetry.allow names networks.",
        "content": {"application/json": {"schema": {"type": "object"}}},
    },
    422: problems.RESPONSES[422],
}

Trusted = Callable[[Request], bool]


@dataclass(slots=True)
class Watching:
    """What is measured in this process, and what the agent has seen."""

    reader: InMemoryMetricReader
    provider: MeterProvider
    samples: Samples | None
    tracer: TracerProvider | None = None  # None: no spans are made
    _reading: Reading = field(default_factory=lambda: Reading(_PATIENCE))
    _began: float = field(default_factory=time.monotonic)

    @classmethod
    def of(cls, known: Settings, version: str) -> Watching:
        """Make the provider of a service; nothing of it is global."""
        reader = InMemoryMetricReader()
        watched = known.file.watched if known.file is not None else Watched()
        readers: list[MetricReader] = [reader]
        if watched.exporter is not None:
            readers.append(exporting.metric_reader(watched.exporter))
        told = {
            "service.name": known.name,
            "service.version": version,
            "deployment.environment.name": known.environment,
        }
        resource = Resource(told)
        provider = MeterProvider(readers, resource, shutdown_on_exit=False)
        tracer: TracerProvider | None = None
        if watched.exporter is not None and watched.exporter.traces:
            tracer = TracerProvider(resource=resource, shutdown_on_exit=False)
            tracer.add_span_processor(exporting.span_processor(watched.exporter))
        return cls(reader, provider, watched.samples, tracer)

    def meter(self) -> Meter:
        """Return what makes instruments."""
        return self.provider.get_meter("pgstead")

    def trace(self, database: Database) -> None:
        """Make spans of a database's statements, where the manifest asks for them."""
        if self.tracer is not None:
            spans = Tracing(self.tracer.get_tracer("pgstead"), database.settings.name)
            spans.install(database.engine.sync_engine)

    async def flush(self) -> None:
        """Send what was not sent yet; who cannot be reached is not waited for.

        Nor does a service that has measured for a second wait for longer than that: before it
        serves, it rehearses its end. The exporters' own time-outs are longer, hence the thread.
        """
        sent, loop = asyncio.Event(), asyncio.get_running_loop()

        def flushing() -> None:
            try:
                self.provider.force_flush(_FLUSH * 1000)
                if self.tracer is not None:
                    self.tracer.force_flush(_FLUSH * 1000)
            except Exception as error:  # noqa: BLE001 - whatever it is, it disturbs nobody
                _log.warning("the last metrics were not sent: %s", type(error).__name__)
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(sent.set)

        # a daemon: the process ends without waiting for a collector that hangs
        threading.Thread(target=flushing, name="pgstead-flush", daemon=True).start()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(_FLUSH, time.monotonic() - self._began)):
                await sent.wait()

    async def judged(self) -> tuple[Sequence[Judged], str]:
        """Return the checks of the stead, or why there are none. Takes less than a second."""
        if self.samples is None:
            return (), _NO_AGENT
        found, why = await self._reading.of(self.samples.judged)
        return found or (), why

    async def availability(self) -> dict[str, Any]:
        """Return what the agent reckoned of thirty days; `unproven` where it did not."""
        if self.samples is None:
            return told_availability(None, _NO_AGENT)
        samples = self.samples
        found, why = await self._reading.of(lambda: samples.note(NOTE))
        return told_availability(found, why)

    async def alerts(self) -> Alerts:
        """Return the alerts that fire or soon will, or why nobody knows."""
        if self.samples is None:
            return Alerts(None, _NO_AGENT)
        samples = self.samples
        found, why = await self._reading.of(lambda: samples.note(alerting.NOTE))
        return alerts_of(found, why, samples.interval)

    async def exposition(self, only: str) -> Exposition:
        """Return what is exposed: the process's own, the stead's, or both."""
        families: list[Family] = []
        if only != "stead":
            families += of_instruments(self.reader)
        if only != "process" and self.samples is not None:
            current, _ = await self._reading.of(self.samples.newest)
            judged, _ = await self.judged()
            families += of_samples(current or (), judged)
            families += of_alerts(await self.alerts())
        return Exposition(families)

    def router(self, trusted: Trusted) -> APIRouter:
        """Return the route of `/metrics`."""
        router = APIRouter(tags=["health"])

        @router.get(
            "/metrics",
            summary="Metrics for Prometheus, as text or OpenMetrics",
            response_class=Response,
            responses=_RESPONSES,
        )
        async def metrics(
            request: Request, only: Literal["process", "stead", "all"] = "all"
        ) -> Response:
            if not trusted(request):
                return JSONResponse({"status": "forbidden"}, status_code=403)
            found = await self.exposition(only)
            body, media_type = found.encoded(request.headers.get("accept", ""))
            return Response(body, headers={"Content-Type": media_type, "Cache-Control": "no-store"})

        return router
