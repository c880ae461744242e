"""Exporters that say once that they cannot send, and once that they can again.

The SDK's own log a warning for each attempt: a collector that is down for a night would fill the
service's log with one line a minute for each signal.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any

from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, MetricsData
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

_log = logging.getLogger(__name__)
_LONGEST = 200  # characters of a reason


class _Heard(logging.Filter):
    """Keeps what an exporter says, of each thread the last, and lets none of it into the log."""

    def __init__(self) -> None:
        super().__init__()
        self._said = threading.local()

    def filter(self, record: logging.LogRecord) -> bool:
        self._said.last = record.getMessage()
        return False

    def take(self) -> str:
        """Return what was said since the last time in this thread."""
        said = " ".join(str(getattr(self._said, "last", "")).split())
        self._said.last = ""
        return said[:_LONGEST]


class _Told:
    """Whether a collector can be reached, said when that changes."""

    def __init__(self, signal: str, endpoint: str, exporter: object) -> None:
        self._signal, self._endpoint = signal, endpoint
        self._failing = False
        self._heard = _hear(type(exporter))

    def outcome(self, work: Callable[[], Any], failure: Any) -> Any:
        """Return what an attempt came to; one that raises has failed."""
        try:
            result, raised = work(), ""
        except Exception as error:  # noqa: BLE001 - whatever it is, the application goes on
            result, raised = failure, f"{type(error).__name__}: {error}"
        said = [heard for h in self._heard if (heard := h.take())]
        if result is not failure:
            if self._failing:
                _log.info("%s are sent to %s again", self._signal, self._endpoint)
            self._failing = False
        elif not self._failing:
            self._failing = True
            reason = raised[:_LONGEST] or "; ".join(said) or "no reason was given"
            _log.warning(
                "%s cannot be sent to %s: %s; it is tried again, and said when it works",
                *(self._signal, self._endpoint, reason),
            )
        return result


class TellingMetrics(MetricExporter):
    """An exporter of metrics that says what becomes of it."""

    def __init__(self, inner: MetricExporter, endpoint: str) -> None:
        """Take the place of another one."""
        chosen = vars(inner)
        super().__init__(chosen["_preferred_temporality"], chosen["_preferred_aggregation"])
        self._inner: Any = inner  # its keywords are untyped
        self._told = _Told("metrics", endpoint, inner)

    def export(
        self, metrics_data: MetricsData, timeout_millis: float = 10_000, **more: Any
    ) -> MetricExportResult:
        """Send; never raises."""
        return self._told.outcome(
            lambda: self._inner.export(metrics_data, timeout_millis, **more),
            MetricExportResult.FAILURE,
        )

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Send what waits."""
        return self._inner.force_flush(timeout_millis)

    def shutdown(self, timeout_millis: float = 30_000, **more: Any) -> None:
        """End."""
        self._inner.shutdown(timeout_millis, **more)


class TellingSpans(SpanExporter):
    """An exporter of spans that says what becomes of it."""

    def __init__(self, inner: SpanExporter, endpoint: str) -> None:
        """Take the place of another one."""
        self._inner = inner
        self._told = _Told("spans", endpoint, inner)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send; never raises."""
        return self._told.outcome(lambda: self._inner.export(spans), SpanExportResult.FAILURE)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Send what waits."""
        return self._inner.force_flush(timeout_millis)

    def shutdown(self) -> None:
        """End."""
        self._inner.shutdown()


def _hear(exporter: type) -> tuple[_Heard, ...]:
    """Listen to the loggers of an exporter's modules, once for all exporters of a kind."""
    found: list[_Heard] = []
    for name in {kind.__module__ for kind in exporter.__mro__ if ".exporter." in kind.__module__}:
        logger = logging.getLogger(name)
        there = next((f for f in logger.filters if isinstance(f, _Heard)), None)
        if there is None:
            there = _Heard()
            logger.addFilter(there)
        found.append(there)
    return tuple(found)
