"""A stead for faults: looked at each second, each rule at once, one who is told."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pgstead.catalog.alert_rules import RULES
from tests.fix_stead import stead_in
from tests.live.alerts.conftest import Alerted
from tests.live.alerts.receiver import receiving

TELEMETRY = """\
true
interval = "1s"

[telemetry.otlp]
endpoint = "http://127.0.0.1:{collector}"
interval = "1s"

[telemetry.thresholds]
idle_in_transaction = {{ warning = "1s", critical = "2s" }}
blocked = {{ warning = "1s", critical = "2s" }}
slot_retained = {{ warning = "1MB", critical = "4MB" }}
archive_queue = {{ warning = "1s", critical = "2s" }}
"""
ALERTS = """\
[alerts]
targets_file = "targets"

# the agent would take a wrong password for a change that was cut off, and finish it: the server
# would be given the password of the file, and the fault be over
[rotation]
automatic = false
"""
POOLER = 'settings = { default_pool_size = "3", reserve_pool_size = "0", min_pool_size = "0" }'


@contextmanager
def collector_that_hangs() -> Iterator[int]:
    """Take connections of exporters, and never answer; give the port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        taken: list[socket.socket] = []

        def take() -> None:
            while True:
                try:
                    taken.append(listening.accept()[0])
                except OSError:
                    return

        threading.Thread(target=take, daemon=True).start()
        try:
            yield int(listening.getsockname()[1])
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            for one in taken:
                one.close()


@pytest.fixture(scope="module")
def faulty() -> Iterator[Alerted]:
    """Give it running, with a collector that hangs all the while."""
    at_once = "".join(f'[alerts.rules.{r.name}]\nafter = "0s"\n' for r in RULES if r.hold)
    with (
        receiving() as receiver,
        collector_that_hangs() as port,
        stead_in(
            telemetry=TELEMETRY.format(collector=port),
            extra=ALERTS + at_once,
            pooler_extra=POOLER,
        ) as stead,
    ):
        targets = stead.directory / "targets"
        targets.write_text(f"hook = json://127.0.0.1:{receiver.port}/alerts\n")
        targets.chmod(0o600)
        stead.run("up")
        stead.wait_for_service()
        yield Alerted(stead, receiver)
