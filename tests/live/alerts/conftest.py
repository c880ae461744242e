"""A stead whose alerts are told to a receiver of ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import pytest

from pgstead.model.alerts import Phase
from tests.fix_stead import LiveStead, stead_in
from tests.live.alerts.receiver import Receiver, receiving

TELEMETRY = """\
true
interval = "1s"

[telemetry.thresholds]
idle_in_transaction = { warning = "1s", critical = "3s" }
transaction_age = { warning = "2s", critical = "4s" }
statement_age = { warning = "2s", critical = "4s" }
blocked = { warning = "1s", critical = "3s" }
prepared_transactions = { warning = "1s", critical = "3s" }
lock_table = { warning = "5%", critical = "8%" }
slot_retained = { warning = "1MB", critical = "4MB" }
"""
SERVER = 'settings = { max_prepared_transactions = "4" }'
ALERTS = """\
[alerts]
targets_file = "targets"
heartbeat_file = "heartbeat"
heartbeat = "1s"
"""
MANIFEST: Mapping[str, str] = MappingProxyType(
    {"telemetry": TELEMETRY, "extra": ALERTS, "server": SERVER}
)


@dataclass
class Alerted:
    """A stead and who is told."""

    stead: LiveStead
    receiver: Receiver

    def phase(self, name: str) -> str:
        """Return what an alert is in, as its store says."""
        ports = self.stead.wired.ports.alerts
        assert ports is not None
        return next((s.phase.value for s in ports.store.states() if s.name == name), "")

    def fired(self, name: str) -> bool:
        """Say whether an alert has ever fired, as its history says."""
        ports = self.stead.wired.ports.alerts
        assert ports is not None
        return any(c.name == name and c.became is Phase.FIRING for c in ports.store.history(1000))


@contextmanager
def alerted_stead(**given: Any) -> Iterator[Alerted]:
    """Give a running stead with one target and a heartbeat."""
    with receiving() as receiver, stead_in(**given) as stead:
        for name, text in (
            ("targets", f"# who is told\nhook = json://127.0.0.1:{receiver.port}/alerts\n"),
            ("heartbeat", f"http://127.0.0.1:{receiver.port}/beat\n"),
        ):
            path = stead.directory / name
            path.write_text(text)
            path.chmod(0o600)
        stead.run("up")
        yield Alerted(stead, receiver)


@pytest.fixture(scope="module")
def alerted() -> Iterator[Alerted]:
    """Give a stead that is looked at each second, whose rules wait for nothing.

    Nothing idles for as long as is critical: beside that the warning would not be told, and a
    machine that stands still for two seconds would have seen nothing else.
    """
    from pgstead.catalog.alert_rules import RULES

    at_once = "".join(f'[alerts.rules.{r.name}]\nafter = "0s"\n' for r in RULES if r.hold)
    idle = 'idle_in_transaction = { warning = "1s", critical = "%s" }'
    warned = TELEMETRY.replace(idle % "3s", idle % "1h")
    assert warned != TELEMETRY
    given = {**MANIFEST, "telemetry": warned, "extra": ALERTS + at_once}
    with alerted_stead(**given) as made:
        yield made
