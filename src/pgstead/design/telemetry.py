"""How a stead is watched: intervals, thresholds with their defaults, and where OTLP goes."""

from __future__ import annotations

from collections.abc import Mapping

from pgstead.catalog.health_checks import CHECKS
from pgstead.manifest.document import Manifest
from pgstead.manifest.telemetry import Otlp, ThresholdEntry
from pgstead.model.availability import Maintenance
from pgstead.model.backup import BackupPlan
from pgstead.model.host import HostFacts
from pgstead.model.layout import Layout
from pgstead.model.sample_tables import FILE
from pgstead.model.telemetry import Exporter, TelemetryPlan, Threshold

_SLOW = 10  # intervals between two looks at what is dear


def plan(
    manifest: Manifest, host: HostFacts, layout: Layout, backups: BackupPlan | None
) -> TelemetryPlan | None:
    """Return how the stead is watched, None where it is not."""
    told = manifest.telemetry
    if not told.enabled:
        return None
    return TelemetryPlan(
        interval=told.interval,
        slow_interval=told.interval * _SLOW,
        retention=told.retention,
        thresholds=_thresholds(told.thresholds, backups),
        networks=_readers(told.allow, host),
        samples=str(layout.telemetry / FILE),
        readers=host.service_user,
        exporter=_exporter(told.otlp, layout),
        maintenance=tuple(Maintenance(w.begins, w.ends, w.reason) for w in told.maintenance),
    )


def _readers(allowed: tuple[str, ...], host: HostFacts) -> tuple[str, ...]:
    """Return the networks that metrics and the whole of health go to."""
    if host.network is None:
        return allowed
    return tuple(dict.fromkeys((*host.network.near, host.network.gateway, *allowed)))


def _thresholds(
    chosen: Mapping[str, ThresholdEntry], backups: BackupPlan | None
) -> dict[str, Threshold]:
    found = {check.name: check.threshold for check in CHECKS}
    if backups is not None:
        # the manifest's own words for "too old" come before a general figure
        for name, limit in (("backup_age", backups.max_age), ("drill_age", backups.drill_age)):
            found[name] = Threshold(limit, 2 * limit, 0.0)
    return {name: _chosen(told, chosen.get(name)) for name, told in found.items()}


def _chosen(told: Threshold, entry: ThresholdEntry | None) -> Threshold:
    if entry is None:
        return told
    return Threshold(
        told.warning if entry.warning is None else entry.warning,
        told.critical if entry.critical is None else entry.critical,
        told.hysteresis if entry.hysteresis is None else entry.hysteresis,
        told.falling,
    )


def _exporter(told: Otlp, layout: Layout) -> Exporter | None:
    if not told.endpoint:
        return None
    headers = str(layout.manifest_directory / told.headers_file) if told.headers_file else ""
    return Exporter(told.endpoint, told.protocol, headers, told.interval, told.traces)
