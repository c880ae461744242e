"""What the agent of a stead has seen, as a test asks for it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import httpx

from pgstead.model.telemetry import Sample
from tests.fix_stead import LiveStead
from tests.waiting import until

Key = tuple[str, tuple[tuple[str, str], ...]]


def newest(stead: LiveStead) -> dict[Key, Sample]:
    """Return the newest sample of each series."""
    telemetry = stead.wired.ports.telemetry
    assert telemetry is not None
    return {(s.metric, s.attributes): s for s in telemetry.store.newest()}


def after(stead: LiveStead, seconds: float = 0.0) -> dict[Key, Sample]:
    """Return what a look shows that began after now, and these seconds."""
    moment = datetime.now(UTC).timestamp() + seconds
    return until(lambda: _later(newest(stead), moment), "a new look of the agent")


def _later(found: dict[Key, Sample], moment: float) -> dict[Key, Sample] | None:
    looked = found.get(("pgstead_sampler_seconds", ()))
    if looked is None or looked.value is None:
        return None
    return found if looked.at.timestamp() - looked.value > moment else None


def health(stead: LiveStead) -> httpx.Response:
    """Ask for the database's health."""
    return httpx.get(f"http://127.0.0.1:{stead.api_port}/health/db", timeout=30)


def health_with(stead: LiveStead, status: int, check: str, *states: str) -> dict[str, Any]:
    """Wait until health answers with a status while a check is in one of some states."""

    def there() -> dict[str, Any] | None:
        answer = health(stead)
        told = answer.json()
        state = told["checks"].get(check, {}).get("state")
        return told if answer.status_code == status and state in states else None

    try:
        return until(there, f"{status} with {check} {' or '.join(states)}")
    except AssertionError as error:
        answer = health(stead)
        told = answer.json()
        shown = {n: c for n, c in told["checks"].items() if c["state"] not in ("ok", "none")}
        raise AssertionError(f"{error}: {answer.status_code} {told['error']} {shown}") from None
