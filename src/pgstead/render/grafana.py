"""A dashboard for Grafana, of the metrics that are there: a test compares every name.

https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pgstead.model.design import Design

_WIDTH, _COLUMNS, _HEIGHT = 24, 3, 7
_SOURCE: Mapping[str, str] = {"type": "prometheus", "uid": "${datasource}"}
_OF = 'stead="$stead"'


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel: what it is called, its unit in Grafana's words, and (expression, legend)."""

    title: str
    unit: str
    shown: tuple[tuple[str, str], ...]
    kind: str = "timeseries"
    description: str = ""
    highest: float | None = None


def _rate(metric: str, by: str = "") -> str:
    told = f"rate({metric}{{{_OF}}}[$__rate_interval])"
    return f"sum by ({by}) ({told})" if by else f"sum({told})"


def _now(metric: str, by: str = "") -> str:
    told = f"{metric}{{{_OF}}}"
    return f"max by ({by}) ({told})" if by else told


def _share(part: str, rest: str, by: str) -> str:
    return f"{_rate(part, by)} / ({_rate(part, by)} + {_rate(rest, by)})"


def _quantile(share: float, histogram: str) -> str:
    return f"histogram_quantile({share}, {_rate(f'{histogram}_bucket', 'le')})"


_OPERATION = "db_client_operation_duration_seconds"
_WAIT = "db_client_connection_wait_time_seconds"

ROWS: tuple[tuple[str, tuple[Panel, ...]], ...] = (
    ("At a glance", (
        Panel("Checks that want attention", "short", (
            (f"sort_desc(pgstead_check_level{{{_OF}}} != 0)", "{{check}}"),
        ), "table", "1: warning, 2: critical, -1: unknown"),
        Panel("Server, pooler", "short", (
            (_now("pg_up"), "server"), (_now("pgbouncer_up"), "pooler"),
        ), "stat"),
        Panel("Availability over 30 days", "percentunit", (
            (_now("pgstead_availability_ratio"), "available"),
            (_now("pgstead_availability_coverage_ratio"), "sampled"),
        ), "stat", "No value: too little was sampled, so it is unproven."),
    )),
    ("Work", (
        Panel("Transactions", "ops", (
            (_rate("pg_stat_database_xact_commit_total", "datname"), "{{datname}} committed"),
            (_rate("pg_stat_database_xact_rollback_total", "datname"), "{{datname}} rolled back"),
        )),
        Panel("Operations of the applications", "s", (
            (_quantile(0.95, _OPERATION), "p95"), (_quantile(0.99, _OPERATION), "p99"),
        ), description="APP-7: p95 below 100 ms, p99 below 500 ms"),
        Panel("Statements", "ops", (
            (_rate("pg_stat_statements_calls_total", "datname"), "{{datname}}"),
        )),
    )),
    ("Connections", (
        Panel("Sessions", "short", (
            (f"sum by (state) (pg_stat_activity_count{{{_OF}}})", "{{state}}"),
            (_now("pg_connections_limit"), "limit"),
        )),
        Panel("Waiting for the pooler", "s", (
            (_now("pgbouncer_pools_client_maxwait_seconds", "database"), "{{database}}"),
        )),
        Panel("Waiting for the application's pool", "s", (
            (f"{_rate(f'{_WAIT}_sum')} / {_rate(f'{_WAIT}_count')}", "mean"),
            (_quantile(0.99, _WAIT), "p99"),
        ), description="APP-7: below 10 ms on average"),
    )),
    ("Locks", (
        Panel("Waiting for a lock", "short", ((_now("pg_blocked_backends"), "sessions"),)),
        Panel("Longest", "s", (
            (_now("pg_blocked_max_seconds"), "wait for a lock"),
            (_now("pg_transaction_max_seconds"), "transaction"),
            (_now("pg_idle_in_transaction_max_seconds"), "idle in transaction"),
        )),
        Panel("Deadlocks", "ops", (
            (_rate("pg_stat_database_deadlocks_total", "datname"), "{{datname}}"),
        )),
    )),
    ("Storage", (
        Panel("Blocks found in shared buffers", "percentunit", (
            (_share("pg_stat_database_blks_hit_total", "pg_stat_database_blks_read_total",
                    "datname"), "{{datname}}"),
        ), highest=1),
        Panel("WAL", "Bps", ((_rate("pg_stat_wal_bytes_total"), "written"),)),
        Panel("Disk used", "percentunit", (
            (_now("pgstead_filesystem_used_ratio", "place"), "{{place}}"),
        ), highest=1),
        Panel("Memory used", "percentunit", ((_now("pgstead_memory_used_ratio"), "used"),),
              highest=1),
        Panel("Size of databases", "bytes", (
            (_now("pg_database_size_bytes", "datname"), "{{datname}}"),
        )),
        Panel("Transactions since the last freeze", "short", (
            (_now("pg_database_xid_age", "datname"), "{{datname}}"),
        )),
    )),
    ("Recovery", (
        Panel("Behind", "bytes", (
            (_now("pg_stat_replication_write_lag_bytes", "application_name"),
             "{{application_name}}"),
            (_now("pg_replication_slots_retained_bytes", "slot_name"), "slot {{slot_name}}"),
        )),
        Panel("Oldest WAL segment to be archived", "s", (
            (_now("pg_archiver_oldest_ready_seconds"), "waits"),
        )),
        Panel("Age of the last", "s", (
            (_now("pgstead_backup_age_seconds"), "base backup"),
            (_now("pgstead_drill_age_seconds"), "proven restore"),
        ), "stat"),
    )),
)  # fmt: skip


def dashboard(design: Design) -> str:
    """Return the JSON that Grafana imports."""
    told: dict[str, Any] = {
        "title": f"pgstead: {design.name}",
        "uid": "pgstead-" + hashlib.sha256(design.stead_id.encode()).hexdigest()[:16],
        "tags": ["pgstead", "postgresql"],
        "schemaVersion": 41,
        "timezone": "browser",
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [*_variables(design)]},
        "panels": _panels(),
    }
    return json.dumps(told, indent=2) + "\n"


def _variables(design: Design) -> Sequence[dict[str, Any]]:
    return (
        {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"},
        {
            "name": "stead",
            "label": "Stead",
            "type": "query",
            "datasource": _SOURCE,
            "query": {"query": "label_values(pg_up, stead)", "refId": "stead"},
            "refresh": 2,
            "current": {"text": design.name, "value": design.name},
        },
    )


def _panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    y = 0
    for title, panels in ROWS:
        place = {"h": 1, "w": _WIDTH, "x": 0, "y": y}
        row: dict[str, Any] = {
            "type": "row",
            "title": title,
            "collapsed": False,
            "panels": [],
            "gridPos": place,
        }
        found.append({"id": len(found) + 1, **row})
        y += 1
        width = _WIDTH // _COLUMNS
        for number, panel in enumerate(panels):
            x, line = number % _COLUMNS * width, number // _COLUMNS
            place = {"h": _HEIGHT, "w": width, "x": x, "y": y + line * _HEIGHT}
            found.append({"id": len(found) + 1, "gridPos": place, **_panel(panel)})
        y += -(-len(panels) // _COLUMNS) * _HEIGHT
    return found


def _panel(panel: Panel) -> dict[str, Any]:
    instant = panel.kind != "timeseries"
    defaults: dict[str, Any] = {"unit": panel.unit, "noValue": "unknown"}
    if panel.kind == "timeseries":
        # a line ends where nobody knew
        defaults["custom"] = {"spanNulls": False, "fillOpacity": 10}
    if panel.highest is not None:
        defaults |= {"min": 0, "max": panel.highest}
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": _SOURCE,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": {},
        "targets": [
            {
                "refId": chr(ord("A") + number),
                "datasource": _SOURCE,
                "expr": expression,
                "legendFormat": legend,
                "instant": instant,
                "range": not instant,
                "format": "table" if panel.kind == "table" else "time_series",
            }
            for number, (expression, legend) in enumerate(panel.shown)
        ],
    }
