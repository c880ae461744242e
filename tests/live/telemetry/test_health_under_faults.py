"""Health, its alert and its end, under each fault (issue 6, what it must show: 1).

The table is in service_faults.py. What takes long, and the rest of the table, is `soak`.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from pgstead.model.alerts import Phase
from tests.fix_stead import LiveStead
from tests.live.alerts.conftest import Alerted
from tests.live.telemetry.seen import health, health_with
from tests.live.telemetry.service_faults import SOAKED, TOLD_IN_THE_SUITE, WRONG, Fault
from tests.waiting import until

OF_THE_MACHINE = {"probe", "memory"}  # a busy one is told too, and is no fault of these
PATHS = ("live", "ready", "db")
TABLE = [
    *(pytest.param(f, id=f.name) for f in TOLD_IN_THE_SUITE),
    *(pytest.param(f, id=f.name, marks=pytest.mark.soak) for f in SOAKED),
]


@pytest.mark.parametrize("fault", TABLE)
def test_a_fault_is_told_within_two_looks_and_ends(faulty: Alerted, fault: Fault) -> None:
    stead = faulty.stead
    well(stead)
    heard = faulty.receiver.count(f" {fault.alert}:")
    over = faulty.receiver.count("RESOLVED", f" {fault.alert},")
    before = datetime.now(UTC)  # what takes a while to happen may be told before it is over
    with fault.happens(stead):
        began = datetime.now(UTC)
        told = told_of(stead, fault)
        shapes(told, fault)
        answers(stead, fault)
        if fault.alert:
            fired = until(lambda: change(faulty, fault, Phase.FIRING, before), "it fires")
            serious = began + timedelta(seconds=fault.serious_after)
            assert looks(stead, serious, fired) <= fault.looks
            until(lambda: faulty.receiver.count(f" {fault.alert}:") > heard, "it is told")
            if fault.swift:
                named_by_status(stead, fault)
    if fault.alert:
        until(lambda: faulty.phase(fault.alert) == "inactive", f"{fault.alert} is over", 90)
        until(
            lambda: faulty.receiver.count("RESOLVED", f" {fault.alert},") > over,
            "its end is told",
        )
    well(stead)


def well(stead: LiveStead) -> None:
    """Wait until everything that a fault can touch is healthy."""

    def healthy() -> bool:
        answer = health(stead)
        return answer.status_code == 200 and set(answer.json()["attention"]) <= OF_THE_MACHINE

    try:
        until(healthy, "healthy", 90)
    except AssertionError:
        told = health(stead).json()
        shown = {n: told["checks"].get(n) for n in told["attention"]}
        pytest.fail(f"not healthy: {told['status']}, {told['error']}, {shown}")


def told_of(stead: LiveStead, fault: Fault) -> dict[str, Any]:
    if fault.check:
        return health_with(stead, fault.status, fault.check, fault.level)
    until(lambda: health(stead).status_code == fault.status, f"{fault.status}")
    return dict(health(stead).json())


def shapes(told: dict[str, Any], fault: Fault) -> None:
    """See that every field says value, unit, threshold and since; null has its reason."""
    for name, check in told["checks"].items():
        assert {"value", "unit", "threshold", "state", "since", "reason"} <= check.keys(), name
        assert check["unit"], name
        assert {"warning", "critical"} <= check["threshold"].keys(), name
        assert datetime.fromisoformat(check["since"]).tzinfo is not None, name
        assert (check["value"] is None) == (check["state"] in ("unknown", "none")), name
        assert check["value"] is not None or check["reason"], name
    assert told["status"] == ("unhealthy" if fault.status == 503 else "degraded")
    if fault.check:
        assert (told["checks"][fault.check]["value"] is not None) == fault.known
        assert fault.check in told["attention"]


def answers(stead: LiveStead, fault: Fault) -> None:
    """See what each path says, that it says it within a second, and that it names no secret."""
    secrets = [p.read_text().strip() for p in (stead.state / "secrets").iterdir() if p.is_file()]
    wanted = {"live": 200, "ready": fault.ready, "db": fault.status}
    for path in PATHS:
        address = f"http://127.0.0.1:{stead.api_port}/health/{path}"
        took: list[float] = []
        for _ in range(2):
            before = time.monotonic()
            answer = httpx.get(address, timeout=30)
            took.append(time.monotonic() - before)
            assert answer.status_code == wanted[path], answer.text
            assert not any(secret in answer.text for secret in [*secrets, WRONG])
            assert str(stead.directory) not in answer.text
        # who waits for what hangs does so each time; a machine that is busy does not
        assert min(took) < 1, (path, took)


def change(faulty: Alerted, fault: Fault, became: Phase, since: datetime) -> datetime | None:
    """Return when an alert changed, as its history says."""
    ports = faulty.stead.wired.ports.alerts
    assert ports is not None
    return next(
        (
            c.at
            for c in ports.store.history(200)
            if c.name == fault.alert and c.became is became and c.at > since
        ),
        None,
    )


def looks(stead: LiveStead, since: datetime, until_then: datetime) -> int:
    """Count the looks that began after a moment and had ended by another."""
    telemetry = stead.wired.ports.telemetry
    assert telemetry is not None
    return sum(
        s.value is not None and s.at - timedelta(seconds=s.value) > since and s.at <= until_then
        for s in telemetry.store.history("pgstead_sampler_seconds", since)
    )


def named_by_status(stead: LiveStead, fault: Fault) -> None:
    found = stead.json("status", status=None)["alerts"]
    severities = {a["name"]: a["severity"] for a in found["firing"]}
    assert severities.get(fault.alert) == "critical", found
    assert found["reason"] is None
