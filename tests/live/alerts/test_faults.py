"""Each rule by its fault: it fires, is told, and is over."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from pgstead.catalog.alert_rules import BY_NAME
from pgstead.model.alerts import Severity
from tests.live.alerts.conftest import Alerted
from tests.live.alerts.faults import ALONE, EVERY, SPANS, TOGETHER, crash
from tests.live.telemetry.seen import until


@pytest.fixture(scope="module")
def storm(alerted: Alerted) -> Alerted:
    """Have every fault that can happen beside others happen, and end."""
    alerted.stead.wait_for_pooler()
    with ExitStack() as stack:
        for fault in TOGETHER:
            stack.enter_context(fault(alerted.stead))
        for fault in SPANS:
            stack.enter_context(fault(alerted.stead))
        wanted = {*EVERY, *(name for name, _ in SPANS.values())}
        waited(lambda: [n for n in wanted if not alerted.fired(n)], "these did not fire")
        waited(lambda: [n for n in wanted if not told(alerted, n)], "these were not told")
    waited(lambda: [n for n in EVERY if alerted.phase(n) != "inactive"], "these are not over")
    return alerted


def waited(left: object, what: str) -> None:
    """Wait until nothing is left; say what is."""
    assert callable(left)
    try:
        until(lambda: not left() or None, what)
    except AssertionError:
        pytest.fail(f"{what}: {left()}")


def told(alerted: Alerted, name: str) -> bool:
    """Say whether an alert was told, or for a warning the critical one of its family."""
    family = BY_NAME[name].family
    names = [n for n, r in BY_NAME.items() if family and r.family == family] or [name]
    return any(alerted.receiver.heard(f" {n}:") for n in names)


@pytest.mark.parametrize("name", EVERY)
def test_a_fault_fires_its_alert_which_is_told_and_over(storm: Alerted, name: str) -> None:
    assert storm.fired(name)
    assert storm.phase(name) == "inactive"
    if BY_NAME[name].severity is Severity.CRITICAL:
        until(lambda: storm.receiver.heard("RESOLVED", name), f"{name} told to be over")


@pytest.mark.parametrize("name", [name for name, _ in SPANS.values()])
def test_what_happened_in_a_span_fires_its_alert(storm: Alerted, name: str) -> None:
    assert storm.fired(name)


@pytest.mark.parametrize("name", ALONE)
def test_what_stops_the_rest_fires_its_alert_and_is_over(storm: Alerted, name: str) -> None:
    with ALONE[name](storm.stead):
        until(lambda: storm.receiver.heard(f" {name}:"), f"{name} told")
    until(lambda: storm.receiver.heard("RESOLVED", name), f"{name} told to be over")


def test_the_dead_mans_switch_is_held_while_rules_are_evaluated(storm: Alerted) -> None:
    before = storm.receiver.beats
    until(lambda: storm.receiver.beats > before or None, "a heartbeat")
    supervisor = storm.stead.wired.ports.supervisor
    supervisor.stop("agent")
    try:
        last = storm.receiver.beats
        with pytest.raises(AssertionError):
            until(lambda: storm.receiver.beats > last or None, "a heartbeat of nobody", seconds=3)
    finally:
        supervisor.start("agent")


@pytest.mark.soak
@pytest.mark.timeout(2400)
@pytest.mark.parametrize(("name", "seconds"), SPANS.values(), ids=str)
def test_what_happened_in_a_span_is_over_after_it(
    storm: Alerted, name: str, seconds: float
) -> None:
    until(lambda: storm.phase(name) == "inactive" or None, f"{name} over", seconds + 60)


@pytest.mark.soak
def test_a_crash_of_a_backend_fires_and_is_over(storm: Alerted) -> None:
    with crash(storm.stead):
        until(lambda: storm.receiver.heard(" CrashRecovered:"), "CrashRecovered told")
    until(lambda: storm.receiver.heard("RESOLVED", "CrashRecovered"), "its end", seconds=180)
