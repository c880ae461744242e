"""Health through faults: it says what is wrong, that it is 503, and that it is over."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import httpx
import psycopg
import pytest

from tests.fix_stead import LiveStead
from tests.live.alerts.faults import stopped
from tests.live.freezing import frozen
from tests.live.telemetry.seen import after, health, health_with
from tests.waiting import until

WELL = ("ok",)


def hanging(stead: LiveStead) -> AbstractContextManager[None]:
    """Let every process of the server hang."""
    first = (stead.state / "server" / "data" / "postmaster.pid").read_text().splitlines()[0]
    return frozen(int(first))


def live(stead: LiveStead) -> int:
    return httpx.get(f"http://127.0.0.1:{stead.api_port}/health/live", timeout=60).status_code


def test_a_stopped_server_is_told_with_its_reason_and_nothing_else_is_guessed(
    sampled: LiveStead,
) -> None:
    health_with(sampled, 200, "server", *WELL)
    with stopped(sampled, "postgres"):
        told = health_with(sampled, 503, "server", "critical")
        assert told["checks"]["server"]["value"] == 0
        blind = told["checks"]["connections"]
        assert (blind["value"], blind["state"]) == (None, "unknown")
        assert blind["reason"]
        assert told["checks"]["disk"]["value"] > 0  # the machine is seen all the same
        assert live(sampled) == 200
        shown = httpx.get(f"http://127.0.0.1:{sampled.api_port}/metrics", timeout=60).text
        assert "\npg_up 0.0\n" in shown
        assert "pg_connections_used " not in shown
    told = health_with(sampled, 200, "server", *WELL)
    assert told["checks"]["server"]["value"] == 1


def test_a_frozen_server_is_told_and_the_sampler_goes_on(sampled: LiveStead) -> None:
    health_with(sampled, 200, "server", *WELL)
    with hanging(sampled):
        told = health_with(sampled, 503, "server", "critical")
        assert "answered" in told["checks"]["server"]["reason"]
        first = after(sampled, whole=False)
        second = after(sampled, whole=False)
        assert first[("pg_up", ())].value == 0
        assert second[("pg_up", ())].at > first[("pg_up", ())].at
        assert live(sampled) == 200
    health_with(sampled, 200, "server", *WELL)


def test_a_pooler_that_is_down_is_told_apart_from_the_server(sampled: LiveStead) -> None:
    health_with(sampled, 200, "pooler", *WELL)
    with stopped(sampled, "pgbouncer"):
        told = health_with(sampled, 503, "pooler", "critical")
        assert told["checks"]["pooler"]["value"] == 0
        # one look may be too short for a server on a busy machine; the next one is another
        health_with(sampled, 503, "server", *WELL)
    health_with(sampled, 200, "pooler", *WELL)


def test_an_idle_transaction_becomes_a_warning_then_critical_then_ends(
    sampled: LiveStead,
) -> None:
    with sampled.connect("jeex_admin", direct=True) as session:
        told = warned(sampled, session)
        assert told["status"] == "degraded"
        assert "idle_in_transaction" in told["attention"]
        check = told["checks"]["idle_in_transaction"]
        assert check["value"] >= check["threshold"]["warning"] == 1
        assert check["since"]
        told = health_with(sampled, 503, "idle_in_transaction", "critical")
        assert told["status"] == "unhealthy"
        session.execute("ROLLBACK")
        told = health_with(sampled, 200, "idle_in_transaction", *WELL)
    assert "idle_in_transaction" not in told["attention"]


def warned(stead: LiveStead, session: psycopg.Connection) -> dict[str, Any]:
    """Begin a transaction and return the warning of it.

    A machine that stands still for two seconds comes to the critical one first: then once more.
    """

    def told() -> dict[str, Any] | None:
        answer = health(stead)
        found = answer.json()
        state = found["checks"].get("idle_in_transaction", {}).get("state")
        return (
            found if (answer.status_code, state) in ((200, "warning"), (503, "critical")) else None
        )

    for _ in range(5):
        session.execute("BEGIN")
        found = until(told, "a transaction that idles is told")
        if found["checks"]["idle_in_transaction"]["state"] == "warning":
            return found
        session.execute("ROLLBACK")
        health_with(stead, 200, "idle_in_transaction", *WELL)
    pytest.fail("it was critical each time, and never a warning before")


def test_another_threshold_counts_as_soon_as_up_was_given_it(sampled: LiveStead) -> None:
    before = sampled.manifest.read_text()
    tighter = '[telemetry.thresholds]\ndisk = { warning = "0.1%", critical = "99.9%" }'
    sampled.manifest.write_text(before.replace("[telemetry.thresholds]", tighter))
    try:
        sampled.run("up")
        told = health_with(sampled, 200, "disk", "warning")
        assert told["checks"]["disk"]["threshold"]["warning"] == pytest.approx(0.001)
    finally:
        sampled.manifest.write_text(before)
        sampled.run("up")
    health_with(sampled, 200, "disk", *WELL)
