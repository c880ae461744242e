"""Notes for the services: backups, proofs and availability, which they may not read themselves.

The catalog of backups is readable by its owner alone; a service runs as another user.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pgstead.errors import SteadError
from pgstead.model import alerts as alerting
from pgstead.model import availability as known
from pgstead.model.backup import Run
from pgstead.model.design import Design
from pgstead.model.telemetry import Cadence, Metric, MetricKind, Sample, TelemetryPlan
from pgstead.plan.availability import availability, slot_seconds
from pgstead.ports import Ports
from pgstead.ports.telemetry import SampleStore

_RUNS = 100
_REPORTS = 20
_OPEN = 60  # promises that are not kept, of the newest report
_SOON = 30.0  # seconds between two notes at the most
_SHARE = 500  # one second of reckoning in as many at the most

RATIO = Metric(
    "pgstead_availability_ratio", MetricKind.GAUGE, "1",
    "Of the last 30 days without maintenance, how much server and pooler answered.",
    cadence=Cadence.SLOW,
)  # fmt: skip
COVERAGE = Metric(
    "pgstead_availability_coverage_ratio", MetricKind.GAUGE, "1",
    "Of the last 30 days without maintenance, how much was sampled.",
    cadence=Cadence.SLOW,
)  # fmt: skip
METRICS = (RATIO, COVERAGE)


class Noting:
    """Reads what only the agent may, and writes it where services read."""

    def __init__(self, design: Design, plan: TelemetryPlan, ports: Ports) -> None:
        """Read nothing yet."""
        self._proofs = Path(design.layout.proofs)
        self._plan = plan
        self._ports = ports
        self._alerts = design.alerts is not None
        self._reports: dict[str, Mapping[str, Any]] = {}
        self._due = 0.0
        self._reckoning_due = 0.0
        self._found: known.Availability | None = None

    def note(self, store: SampleStore) -> None:
        """Write the notes that are due. Raises StateDirectoryError."""
        began = time.monotonic()
        if began < self._due:
            return
        self._due = began + max(self._plan.interval, min(_SOON, self._plan.slow_interval)) * 0.9
        store.note("backups", self._backups())
        store.note("proofs", self._proven())
        if not self._alerts:
            reason = "no alerts are evaluated of this stead: alerts.enabled = true"
            store.note(alerting.NOTE, {"alerts": [], "reason": reason})
        if began >= self._reckoning_due:
            self._found = self._reckon(store)
            store.note(known.NOTE, {**asdict(self._found), "state": self._found.state})
            spent = time.monotonic() - began
            self._reckoning_due = began + max(self._plan.slow_interval * 0.9, _SHARE * spent)

    def samples(self) -> Iterator[Sample]:
        """Yield what the availability came to last."""
        found, at = self._found, datetime.now(UTC)
        if found is not None:
            yield Sample(RATIO.name, found.ratio, at, reason=found.reason)
            yield Sample(COVERAGE.name, found.coverage, at)

    def _reckon(self, store: SampleStore) -> known.Availability:
        seconds, now = slot_seconds(self._plan.interval), datetime.now(UTC)
        slots = store.slots(seconds, now - timedelta(days=known.DAYS))
        return availability(slots, self._plan.maintenance, now, seconds)

    def _backups(self) -> Mapping[str, object]:
        if self._ports.backup is None:
            return {"runs": [], "reason": "no backups are made of this stead"}
        try:
            runs = self._ports.backup.catalog.runs(limit=_RUNS)
        except SteadError:
            return {"runs": [], "reason": "the catalog of backups cannot be read"}
        return {"runs": [_run(run) for run in runs], "reason": ""}

    def _proven(self) -> Mapping[str, object]:
        try:
            paths = sorted(self._proofs.glob("*.json"))[-_REPORTS:]
            self._reports = {p.name: self._reports.get(p.name) or _report(p) for p in paths}
        except (OSError, ValueError, KeyError, TypeError) as error:
            return {"reports": [], "reason": f"a report cannot be read: {type(error).__name__}"}
        reason = "" if paths else "nothing was proven yet: `pgstead prove` tries every promise"
        return {"reports": [*reversed(self._reports.values())], "reason": reason}


def _run(run: Run) -> Mapping[str, object]:
    return {
        "task": run.task.value,
        "backup": run.backup,
        "begun": run.begun.timestamp(),
        "seconds": run.seconds,
        "ending": run.ending.value,
        "cause": run.cause,
        "error": run.error,
        "rto": run.detail.get("rto"),
    }


def _report(path: Path) -> Mapping[str, Any]:
    told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    not_kept = [p for p in told["promises"] if p["verdict"] != "kept"]
    return {
        **{key: told[key] for key in ("began", "seconds", "environment", "counts", "exit_status")},
        "open": [
            {key: p.get(key, "") for key in ("code", "promise", "verdict", "reason", "hint")}
            for p in not_kept[:_OPEN]
        ],
        "left_out": max(0, len(not_kept) - _OPEN),
    }
