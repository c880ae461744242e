"""Sabotages of what watches, on a stead that is sampled each second (test_telemetry.py)."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from pgstead.model.design import Design
from tests.sabotage.damage import sabotage
from tests.sabotage.scene import Scene

WHERE = "watched_scene"
STALE = ("TEL-001", "TEL-002")  # where the machine is so busy that a trial outlasts a sample


def file_of(scene: Scene) -> Path:
    """Return the file of the samples."""
    assert scene.design.telemetry is not None
    return Path(scene.design.telemetry.samples)


@contextmanager
def nobody_samples(scene: Scene, statement: str = "") -> Iterator[None]:
    """Stop the agent, and change what it wrote last."""
    scene.ports.supervisor.stop("agent")
    try:
        with closing(sqlite3.connect(file_of(scene), isolation_level=None)) as opened:
            opened.execute(statement)
        yield
    finally:
        scene.ports.supervisor.start("agent")
        scene.wait(lambda: sampled_anew(scene))


def sampled_anew(scene: Scene) -> bool:
    """Say whether what is written now is true again."""
    return not scene.prove("TEL-001", "TEL-002", "TEL-006").exit_status


@sabotage("TEL-001", also=("TEL-002",), where=WHERE)
def the_agent_is_gone(scene: Scene) -> Iterator[Design | None]:
    """Nobody has sampled for an hour, and nothing said so."""
    with nobody_samples(scene, "UPDATE series SET at = at - 3600"):
        yield None


@sabotage("TEL-002", shakes=("TEL-001",), where=WHERE)
def a_metric_lies(scene: Scene) -> Iterator[Design | None]:
    """The moment of the server's start is told an hour off, as one without its zone would be."""
    false = "UPDATE series SET value = value + 3600 WHERE metric LIKE 'pg_postmaster_start%'"
    with nobody_samples(scene, false):
        yield None


class _AlwaysWell(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b'{"status": "healthy"}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        return


@sabotage("TEL-003", where=WHERE, disruptive=True)
def health_is_hard_coded(scene: Scene) -> Iterator[Design | None]:
    """A service that says that it is healthy, whatever happens."""
    with HTTPServer(("127.0.0.1", 0), _AlwaysWell) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        (service, *others) = scene.design.services
        forged = replace(service, host="127.0.0.1", port=server.server_address[1])
        try:
            yield replace(scene.design, services=(forged, *others))
        finally:
            server.shutdown()


@sabotage("TEL-004", where=WHERE)
def the_monitor_may_read_everything(scene: Scene) -> Iterator[Design | None]:
    """Somebody wanted one more figure, and granted what was nearest."""
    monitor = scene.design.monitor_role
    with scene.done_and_undone(
        f"GRANT pg_read_all_data TO {monitor}", f"REVOKE pg_read_all_data FROM {monitor}"
    ):
        yield None


@sabotage("TEL-005", shakes=STALE, where=WHERE)
def everybody_may_read_the_samples(scene: Scene) -> Iterator[Design | None]:
    """Somebody opened the directory, for a script."""
    # the agent closes its directory whenever it opens its file anew
    with nobody_samples(scene), scene.mode(file_of(scene).parent, 0o755):
        yield None


@sabotage("TEL-006", shakes=STALE, where=WHERE)
def a_field_is_missing(scene: Scene) -> Iterator[Design | None]:
    """What the agent judges lost a line."""
    with nobody_samples(scene, "DELETE FROM verdict WHERE name = 'disk'"):
        yield None


SABOTAGES = (
    the_agent_is_gone,
    a_metric_lies,
    health_is_hard_coded,
    the_monitor_may_read_everything,
    everybody_may_read_the_samples,
    a_field_is_missing,
)
