"""OTLP as a collector receives it, and what becomes of a process whose collector is gone."""

from __future__ import annotations

import gzip
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.sdk.metrics import MeterProvider

from pgstead.app.telemetry import exporting
from pgstead.errors import UsageError
from pgstead.model.telemetry import Exporter


class _Collector(BaseHTTPRequestHandler):
    received: list[tuple[str, dict[str, str], bytes]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.received.append((self.path, headers, body))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        return


@pytest.fixture
def collector() -> Iterator[tuple[str, list[tuple[str, dict[str, str], bytes]]]]:
    received: list[tuple[str, dict[str, str], bytes]] = []
    handler: Any = type("Collector", (_Collector,), {"received": received})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", received
        server.shutdown()


def count_once(told: Exporter) -> bool:
    provider = MeterProvider([exporting.metric_reader(told)], shutdown_on_exit=False)
    provider.get_meter("test").create_counter("db.client.connection.timeouts", "{timeout}").add(3)
    sent = provider.force_flush(3000)
    provider.shutdown(3000)
    return sent


def test_a_collector_receives_metrics_with_the_headers_of_the_file(
    collector: tuple[str, list[tuple[str, dict[str, str], bytes]]], tmp_path: Path
) -> None:
    address, received = collector
    headers = tmp_path / "headers"
    headers.write_text("# a comment\nAuthorization: Bearer abc:def\n\n")
    assert count_once(Exporter(address, "http", str(headers), 3600))
    path, told, body = received[0]
    assert path == "/v1/metrics"
    assert told["authorization"] == "Bearer abc:def"
    request = ExportMetricsServiceRequest.FromString(body)
    (metric,) = request.resource_metrics[0].scope_metrics[0].metrics
    assert (metric.name, metric.unit) == ("db.client.connection.timeouts", "{timeout}")
    assert metric.sum.data_points[0].as_int == 3


def test_a_collector_that_is_gone_costs_log_lines_only(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        count_once(Exporter("http://127.0.0.1:9", "http", "", 3600))
    assert caplog.records


@pytest.mark.parametrize(
    ("text", "says"), [("no colon here\n", "no colon"), (None, "cannot be read")]
)
def test_a_file_of_headers_that_is_wrong_is_refused_without_its_content(
    tmp_path: Path, text: str | None, says: str
) -> None:
    path = tmp_path / "headers"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UsageError, match=says) as refused:
        exporting.headers_of(str(path))
    assert "no colon here" not in str(refused.value)
