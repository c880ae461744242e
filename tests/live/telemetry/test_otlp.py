"""OTLP of a running service, as a real receiver decodes it; a bad receiver costs a line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from pgstead.app.correlation import HEADER
from tests.fix_stead import CHECKOUT, LiveStead
from tests.free_ports import free_ports
from tests.live.telemetry.collector import (
    Collector,
    attributes,
    receiving_grpc,
    receiving_http,
)
from tests.waiting import until

RECEIVERS = {"http": receiving_http, "grpc": receiving_grpc}
REQUESTS = 5


@dataclass
class Running:
    """A service that exports."""

    client: httpx.Client
    process: subprocess.Popen[bytes]
    log: Path

    def stop(self) -> None:
        """Ask it to end; it sends what it has not sent yet."""
        self.process.terminate()
        # uvicorn ends by the signal itself, once everything is closed
        assert self.process.wait(30) == -signal.SIGTERM, self.log.read_text()
        assert self.lines("Application shutdown complete")

    def lines(self, *words: str) -> list[str]:
        """Return the lines of its log that have all of these words."""
        return [line for line in self.log.read_text().splitlines() if all(w in line for w in words)]


@contextmanager
def exporting(
    stead: LiveStead, endpoint: str, protocol: str = "http", interval: float = 3600
) -> Iterator[Running]:
    """Run one more service of the stead, which exports, as the foundation would run it."""
    headers = stead.state / "otlp-headers"
    headers.write_text("authorization: Bearer abc:def\n")
    own = stead.state / "connections" / "jeex_idea.json"
    told = json.loads(own.read_text())
    told["telemetry"]["otlp"] = {
        "endpoint": endpoint, "protocol": protocol, "interval": interval,
        "headers_file": str(headers), "traces": True,
    }  # fmt: skip
    connection = own.with_name("jeex_idea_otlp.json")
    connection.write_text(json.dumps(told))
    connection.chmod(own.stat().st_mode & 0o777)
    os.chown(connection, own.stat().st_uid, own.stat().st_gid)
    (port,) = free_ports(1)
    log = stead.state / "otlp-service.log"
    user = ("--user", "nobody") if os.geteuid() == 0 else ()
    with log.open("wb") as file:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "pgstead.serve", "--port", str(port), *user),
                *("--application", "systems.jeex_idea.api:create_app"),
                *("--connection", str(connection)),
            ],
            cwd=CHECKOUT, stdout=file, stderr=file,
        )  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    somebody = {"X-User-ID": str(uuid.uuid4()), "Cache-Control": "no-cache"}
    with httpx.Client(base_url=address, timeout=30, headers=somebody) as client:
        running = Running(client, process, log)
        try:
            until(lambda: _answers(running), "the service answers")
            yield running
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            connection.unlink()


def _answers(running: Running) -> bool:
    assert running.process.poll() is None, running.log.read_text()
    try:
        return running.client.get("/health/live").status_code == 200
    except httpx.TransportError:
        return False


@dataclass
class Exported:
    """What a receiver got of some requests."""

    collector: Collector
    identities: list[str]
    email: str


@pytest.fixture(scope="module", params=RECEIVERS)
def exported(sampled: LiveStead, request: pytest.FixtureRequest) -> Iterator[Exported]:
    """Serve some requests, each with a correlation id of its own, and end."""
    email = f"{uuid.uuid4()}@example.org"
    identities = [str(uuid.uuid4()) for _ in range(REQUESTS)]
    with RECEIVERS[request.param]() as collector:
        with exporting(sampled, collector.endpoint, request.param) as running:
            for identity in identities:
                asked = {HEADER: identity}
                running.client.get(
                    "/users", params={"email": email}, headers=asked
                ).raise_for_status()
            running.stop()
            assert not running.lines("cannot be sent")
        yield Exported(collector, identities, email)


def test_metrics_arrive_with_names_units_and_the_number_of_requests(exported: Exported) -> None:
    told = exported.collector.newest()
    wait = told["db.client.connection.wait_time"]
    assert wait.unit == "s"
    assert sum(p.count for p in wait.histogram.data_points) >= REQUESTS
    duration = told["db.client.operation.duration"]
    selects = [
        point
        for point in duration.histogram.data_points
        if attributes(point.attributes)["db.operation.name"] == "SELECT"
    ]
    assert duration.unit == "s"
    assert sum(point.count for point in selects) >= REQUESTS
    assert {p.name for p in told.values()} >= {
        "db.client.connection.count", "db.client.connection.max", "db.client.connection.timeouts",
        "pgstead.app.units", "pgstead.app.retries",
    }  # fmt: skip


def test_the_resource_says_which_service_of_which_environment(exported: Exported) -> None:
    resources = exported.collector.resources()
    assert resources
    for told in resources:
        assert told["service.name"] == "jeex_idea"
        assert told["service.version"]
        assert told["deployment.environment.name"] == "development"
        assert told["telemetry.sdk.name"] == "opentelemetry"
        assert told["service.namespace"] == "test"
    # each process is one of its own: the rehearsal before it became another user is the same
    assert len({told["service.instance.id"] for told in resources}) == 1


def test_each_request_has_its_trace_with_its_correlation_id(exported: Exported) -> None:
    for identity in exported.identities:
        mine = [
            span
            for span in exported.collector.spans()
            if attributes(span.attributes).get("pgstead.correlation_id") == identity
        ]
        assert mine
        assert {span.trace_id.hex() for span in mine} == {uuid.UUID(identity).hex}
        for span in mine:
            told = attributes(span.attributes)
            assert span.kind == span.SPAN_KIND_CLIENT
            assert told["db.system.name"] == "postgresql"
            assert told["db.namespace"] == "jeex_idea"
            assert span.name == f"{told['db.operation.name']} jeex_idea"
            assert span.end_time_unix_nano > span.start_time_unix_nano


def test_no_value_of_a_request_and_no_literal_is_in_any_span(exported: Exported) -> None:
    texts = [attributes(s.attributes).get("db.query.text", "") for s in exported.collector.spans()]
    assert any("FROM users" in text for text in texts)
    assert not any("'" in text for text in texts)
    whole = "".join(str(request) for request in exported.collector.traces)
    assert exported.email not in whole


def test_the_headers_of_the_file_are_sent(exported: Exported) -> None:
    assert exported.collector.headers
    assert all(h["authorization"] == "Bearer abc:def" for h in exported.collector.headers)


def test_a_collector_that_fails_hangs_or_is_gone_is_told_once_and_costs_no_request(
    sampled: LiveStead,
) -> None:
    with ExitStack() as listening:
        collector = listening.enter_context(receiving_http())
        collector.status = 500
        with exporting(sampled, collector.endpoint, interval=0.3) as running:
            answered(running)
            until(lambda: running.lines("metrics cannot be sent", "500"), "the first failure")
            asked = collector.asked
            until(lambda: collector.asked > asked + 2, "further attempts")
            collector.released.clear()  # it takes what is sent, and does not answer
            asked = collector.asked
            until(lambda: collector.asked > asked, "an export that hangs")
            answered(running)
            collector.status = 200
            collector.released.set()
            for told in ("metrics", "spans"):
                until(lambda t=told: running.lines(f"{t} are sent to", "again"), "all is well")
                assert len(running.lines(f"{told} cannot be sent")) == 1
            listening.close()  # nobody listens there any more
            answered(running)
            until(lambda: len(running.lines("metrics cannot be sent")) == 2, "it is gone")
            answered(running)
            running.stop()  # the end does not wait for who does not answer
            assert len(running.lines("metrics cannot be sent")) == 2
            assert not running.lines("Traceback")
            assert not running.lines(" opentelemetry.")


def answered(running: Running) -> None:
    """Ask a few times; each is answered."""
    for _ in range(REQUESTS):
        running.client.get("/users").raise_for_status()
