"""What the agent of a stead has seen, as a test asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx

from pgstead.model.telemetry import Sample
from tests.fix_stead import LiveStead
from tests.waiting import until

Key = tuple[str, tuple[tuple[str, str], ...]]
# what has a value, and not 0, where the server, the database and the pooler have answered
ANSWERS: tuple[Key, ...] = (
    ("pg_up", ()),
    ("pgstead_probe_seconds", (("datname", "jeex_idea"),)),
    ("pgbouncer_up", ()),
)


def newest(stead: LiveStead) -> dict[Key, Sample]:
    """Return the newest sample of each series."""
    telemetry = stead.wired.ports.telemetry
    assert telemetry is not None
    return {(s.metric, s.attributes): s for s in telemetry.store.newest()}


def after(stead: LiveStead, seconds: float = 0.0, *, whole: bool = True) -> dict[Key, Sample]:
    """Return what a look shows that began after now, and these seconds.

    On a machine that is busy somebody may not answer within a look's deadline: unless the test is
    of that, the next look is waited for.
    """
    moment = datetime.now(UTC).timestamp() + seconds

    def looked() -> dict[Key, Sample] | None:
        found = _later(newest(stead), moment)
        return found if found and (not whole or all(_answered(found))) else None

    return until(looked, f"a {'whole ' if whole else ''}new look of the agent")


def _later(found: dict[Key, Sample], moment: float) -> dict[Key, Sample] | None:
    looked = found.get(("pgstead_sampler_seconds", ()))
    if looked is None or looked.value is None:
        return None
    return found if looked.at.timestamp() - looked.value > moment else None


def _answered(found: dict[Key, Sample]) -> Iterator[bool]:
    """Yield for the server, the database and the pooler whether they answered the last look."""
    for key in ANSWERS:
        yield key in found and bool(found[key].value)


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
