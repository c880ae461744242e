"""Metrics over OTLP: sent by a thread of the SDK, whose failures disturb nobody.

A collector that is down, slow or wrong costs one line of the log; requests never wait for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from opentelemetry.sdk.metrics.export import (
    MetricExporter,
    MetricReader,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter

from pgstead.app.telemetry.telling import TellingMetrics, TellingSpans
from pgstead.errors import UsageError
from pgstead.model.telemetry import Exporter

_PATIENCE = 5  # seconds for one export
_DELAY = 5.0  # seconds that a span waits for others, at the most
_PATH, _SPANS = (
    "/v1/metrics",
    "/v1/traces",
)  # https://opentelemetry.io/docs/specs/otlp/#otlphttp-request


def metric_reader(told: Exporter) -> MetricReader:
    """Return what sends metrics each interval. Raises UsageError."""
    return PeriodicExportingMetricReader(
        TellingMetrics(_exporter(told), told.endpoint),
        export_interval_millis=told.interval * 1000,
        export_timeout_millis=_PATIENCE * 1000,
    )


def _exporter(told: Exporter) -> MetricExporter:
    headers = headers_of(told.headers_file)
    if told.protocol == "http":
        from opentelemetry.exporter.otlp.proto.http import (  # noqa: PLC0415  heavy, and only here
            metric_exporter,
        )

        return metric_exporter.OTLPMetricExporter(
            _address(told, _PATH), headers=headers, timeout=_PATIENCE
        )
    try:
        from opentelemetry.exporter.otlp.proto.grpc import (  # noqa: PLC0415  an extra
            metric_exporter as by_grpc,
        )
    except ImportError as error:
        raise UsageError(
            "telemetry.otlp.protocol is grpc, and its exporter is not installed",
            hint='pip install "pgstead[otlp-grpc]", or protocol = "http" (port 4318)',
        ) from error
    insecure = told.endpoint.startswith("http://")
    return by_grpc.OTLPMetricExporter(
        told.endpoint, insecure=insecure, headers={**headers}, timeout=_PATIENCE
    )


def span_processor(told: Exporter) -> SpanProcessor:
    """Return what sends spans from a thread; those that find its queue full are dropped."""
    exporter = TellingSpans(_span_exporter(told), told.endpoint)
    return BatchSpanProcessor(
        exporter,
        schedule_delay_millis=min(_DELAY, told.interval) * 1000,
        export_timeout_millis=_PATIENCE * 1000,
    )


def _span_exporter(told: Exporter) -> SpanExporter:
    headers = headers_of(told.headers_file)
    if told.protocol == "http":
        from opentelemetry.exporter.otlp.proto.http import (  # noqa: PLC0415  heavy, and only here
            trace_exporter,
        )

        return trace_exporter.OTLPSpanExporter(
            _address(told, _SPANS), headers={**headers}, timeout=_PATIENCE
        )
    from opentelemetry.exporter.otlp.proto.grpc import (  # noqa: PLC0415  metrics had it already
        trace_exporter as by_grpc,
    )

    insecure = told.endpoint.startswith("http://")
    return by_grpc.OTLPSpanExporter(
        told.endpoint, insecure=insecure, headers={**headers}, timeout=_PATIENCE
    )


def _address(told: Exporter, path: str) -> str:
    """Return where a signal goes: the manifest names the collector, or its path of metrics."""
    return f"{told.endpoint.rstrip('/').removesuffix(_PATH)}{path}"


def headers_of(path: str) -> Mapping[str, str]:
    """Read `name: value` lines; they hold credentials, so they are never shown."""
    if not path:
        return {}
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise UsageError(
            f"telemetry.otlp.headers_file cannot be read: {error.strerror}: {path}",
            hint="the services read it as the user who runs `pgstead up`",
        ) from error
    told = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if any(":" not in line for line in told):
        raise UsageError(
            f"a line of telemetry.otlp.headers_file {path} has no colon",
            hint="one header a line: `authorization: Bearer ...`",
        )
    pairs = [line.partition(":") for line in told]
    return {name.strip().lower(): value.strip() for name, _, value in pairs}
