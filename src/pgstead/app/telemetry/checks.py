"""The fields of `/health/db` that come from samples: value, unit, threshold, state, since, reason.

The agent sees what an application's role may not: replication, backups, disks, locks.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

from pgstead.app.telemetry.samples import Judged, Note
from pgstead.model.telemetry import Level

# Names that the specifications ask for (API-3), and the checks that know.
_NAMED = {"replication_lag_bytes": "replication_lag", "backup_age_seconds": "backup_age"}


def status_of(error: str, checks: Sequence[Judged]) -> str:
    """Return healthy, degraded (it serves, and somebody should look) or unhealthy."""
    if error or any(check.prevents for check in checks):
        return "unhealthy"
    if any(check.level in (Level.WARNING, Level.CRITICAL, Level.UNKNOWN) for check in checks):
        return "degraded"
    return "healthy"


def told_of(checks: Sequence[Judged], why: str) -> dict[str, Any]:
    """Return the checks by name; where there are none, why."""
    by_name = {check.name: check for check in checks}
    named = {field: by_name.get(check) for field, check in _NAMED.items()}
    reasons = {
        field: (check.reason if check is not None else "") or why or "the agent does not know it"
        for field, check in named.items()
        if check is None or check.value is None
    }
    return {
        "replication": _replication(named["replication_lag_bytes"]),
        "backup_age_seconds": _value(named["backup_age_seconds"]),
        "reasons": {_field(name): reason for name, reason in reasons.items()},
        "checks": {check.name: _told(check) for check in checks},
        "attention": [c.name for c in checks if c.level not in (Level.OK, Level.NONE)],
        "samples": why or None,
    }


def _field(name: str) -> str:
    return "replication" if name == "replication_lag_bytes" else name


def _replication(check: Judged | None) -> dict[str, float] | None:
    value = _value(check)
    return None if value is None else {"lag_bytes": value}


def _value(check: Judged | None) -> float | None:
    return None if check is None else check.value


def _told(check: Judged) -> dict[str, Any]:
    return {
        "value": check.value,
        "unit": check.unit,
        "threshold": {
            "warning": check.warning,
            "critical": check.critical,
            "worse": "below" if check.falling else "above",
        },
        "state": check.level.value,
        "since": dt.datetime.fromtimestamp(check.since, dt.UTC).isoformat(timespec="seconds"),
        "reason": check.reason or None,
        "description": check.description,
    }


def told_availability(note: Note | None, why: str) -> dict[str, Any]:
    """Return the availability as health shows it; without enough samples it is unproven."""
    if note is None:
        reason = why or "the agent has not reckoned it yet"
        return {"ratio": None, "state": "unproven", "coverage": None, "reason": reason}
    told: dict[str, Any] = dict(note.body)
    return {
        "ratio": told["ratio"],
        "state": told["state"],
        "measured": told["measured"],
        "coverage": told["coverage"],
        "days": told["days"],
        "down_seconds": told["down"],
        "sampled_seconds": told["sampled"],
        "maintenance_seconds": told["maintenance"],
        "samples": told["samples"],
        "at": dt.datetime.fromtimestamp(note.at, dt.UTC).isoformat(timespec="seconds"),
        "reason": told["reason"] or None,
    }
