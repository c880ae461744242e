"""Each rule by its fault: it fires, is told, and is over."""

from __future__ import annotations

from tests.live.alerts.conftest import Alerted
from tests.live.telemetry.seen import until


def test_a_fault_fires_is_told_and_is_over(alerted: Alerted) -> None:
    with alerted.stead.connect("jeex_admin", direct=True) as session:
        session.execute("BEGIN")
        until(lambda: alerted.receiver.heard("WARNING IdleInTransaction:"), "the alert")
        assert alerted.phase("IdleInTransaction") == "firing"
        session.execute("ROLLBACK")
        until(lambda: alerted.receiver.heard("RESOLVED IdleInTransaction"), "its end")
    assert alerted.phase("IdleInTransaction") == "inactive"
