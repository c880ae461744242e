"""A receiver of OTLP over HTTP and gRPC, which decodes with the official protobuf."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2_grpc
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

METRICS, TRACES = "/v1/metrics", "/v1/traces"


@dataclass
class Collector:
    """What was received, and how is answered."""

    metrics: list[ExportMetricsServiceRequest] = field(default_factory=list)
    traces: list[ExportTraceServiceRequest] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    status: int = 200
    released: threading.Event = field(default_factory=threading.Event)  # unset: it hangs
    asked: int = 0
    endpoint: str = ""

    def resources(self) -> list[dict[str, str]]:
        """Return the attributes of each resource that was told of."""
        told = [r.resource for m in self.metrics for r in m.resource_metrics]
        told += [r.resource for t in self.traces for r in t.resource_spans]
        return [attributes(r.attributes) for r in told]

    def newest(self) -> dict[str, Any]:
        """Return the metrics by name, as they were told last."""
        return {
            metric.name: metric
            for request in self.metrics
            for resource in request.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def spans(self) -> list[Any]:
        """Return every span."""
        return [
            span
            for request in self.traces
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


def attributes(told: Any) -> dict[str, Any]:
    """Return key-value pairs of the protocol as Python's."""
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in told}


@contextmanager
def receiving_http(port: int = 0, collector: Collector | None = None) -> Iterator[Collector]:
    """Listen as a collector does at port 4318."""
    made = collector or Collector()
    made.released.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            made.asked += 1
            made.headers.append({n.lower(): v for n, v in self.headers.items()})
            made.released.wait(60)
            answer = b""
            if made.status == 200 and self.path == METRICS:
                made.metrics.append(ExportMetricsServiceRequest.FromString(body))
                answer = ExportMetricsServiceResponse().SerializeToString()
            elif made.status == 200 and self.path == TRACES:
                made.traces.append(ExportTraceServiceRequest.FromString(body))
                answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(made.status)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
            return

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        server.daemon_threads = True
        made.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield made
        finally:
            made.released.set()
            server.shutdown()


@contextmanager
def receiving_grpc() -> Iterator[Collector]:
    """Listen as a collector does at port 4317."""
    made = Collector()

    class Metrics(metrics_service_pb2_grpc.MetricsServiceServicer):
        def Export(self, request: Any, context: Any) -> Any:  # noqa: N802 - the protocol's name
            made.headers.append({str(k): str(v) for k, v in context.invocation_metadata()})
            made.metrics.append(request)
            return ExportMetricsServiceResponse()

    class Traces(trace_service_pb2_grpc.TraceServiceServicer):
        def Export(self, request: Any, context: Any) -> Any:  # noqa: N802 - the protocol's name
            made.headers.append({str(k): str(v) for k, v in context.invocation_metadata()})
            made.traces.append(request)
            return ExportTraceServiceResponse()

    server = grpc.server(ThreadPoolExecutor(2))
    metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(Metrics(), server)
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(Traces(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    made.endpoint = f"http://127.0.0.1:{port}"
    server.start()
    try:
        yield made
    finally:
        server.stop(0).wait()
