"""Samples of the pooler: what SHOW STATS, POOLS, DATABASES, LISTS and CONFIG tell.

The columns differ by version (1.18 to 1.26); what a version does not have is absent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from pgstead.model.telemetry import Metric, MetricKind, Sample
from pgstead.observe.lanes import Connection, Silence
from pgstead.observe.telemetry import Look, now

_COUNTER, _GAUGE = MetricKind.COUNTER, MetricKind.GAUGE
_ROWS = 100  # of one command; pools are pairs of database and user
UP = Metric("pgbouncer_up", _GAUGE, "1", "1: the pooler's console answers the monitoring role.")
USED = Metric("pgbouncer_clients_used_ratio", _GAUGE, "1", "Clients, of max_client_conn.")
MAXWAIT = Metric(
    "pgbouncer_pools_client_maxwait_seconds",
    _GAUGE,
    "s",
    "How long the first client in the queue has waited for a server.",
    ("database", "user"),
    most=_ROWS,
)
_CONSOLE = "pgbouncer"  # the console's own database and pool


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a SHOW command, and the metric that it is."""

    name: str
    metric: Metric
    factor: float = 1.0


def _column(
    name: str, metric: str, kind: MetricKind, unit: str, text: str, by: str, factor: float = 1.0
) -> Column:
    made = Metric(metric, kind, unit, text, tuple(by.split()), most=_ROWS if by else 1)
    return Column(name, made, factor)


def _stats(name: str, metric: str, unit: str, text: str, factor: float = 1.0) -> Column:
    full = f"pgbouncer_stats_{metric}_total"
    return _column(name, full, _COUNTER, unit, text, "database", factor)


def _pools(name: str, text: str) -> Column:
    metric = name.replace("cl_", "client_").replace("sv_", "server_")
    full = f"pgbouncer_pools_{metric}_connections"
    return _column(name, full, _GAUGE, "{connection}", text, "database user")


def _databases(name: str, text: str) -> Column:
    return _column(name, f"pgbouncer_databases_{name}", _GAUGE, "{connection}", text, "database")


STATS = (
    _stats("total_xact_count", "sql_transactions_pooled", "{transaction}", "Transactions."),
    _stats("total_query_count", "queries_pooled", "{query}", "Queries."),
    _stats("total_received", "received_bytes", "By", "Bytes from clients."),
    _stats("total_sent", "sent_bytes", "By", "Bytes to clients."),
    _stats("total_xact_time", "server_in_transaction_seconds", "s", "Time in transactions.", 1e-6),
    _stats("total_query_time", "queries_duration_seconds", "s", "Time of queries.", 1e-6),
    _stats("total_wait_time", "client_wait_seconds", "s", "Time that clients waited.", 1e-6),
    _stats("total_server_assignment_count", "server_assignment", "{assignment}",
           "Times that a server was given to a client."),
    _stats("total_client_login_count", "client_logins", "{login}", "Logins of clients."),
    _stats("total_server_login_count", "server_logins", "{login}", "Logins at the server."),
)  # fmt: skip
POOLS = (
    _pools("cl_active", "Clients with a server, or that wait for nothing."),
    _pools("cl_waiting", "Clients that wait for a server."),
    _pools("sv_active", "Servers in use."),
    _pools("sv_idle", "Servers that are free."),
    _pools("sv_used", "Servers that are checked before they are used again."),
    _pools("sv_login", "Servers that are logging in."),
)
DATABASES = (
    _databases("pool_size", "Servers that a pool may have."),
    _databases("reserve_pool_size", "Further servers when clients wait."),
    _databases("current_connections", "Servers of the database."),
    _databases("max_connections", "Servers that it may have."),
    _databases("paused", "1: PAUSE was said."),
    _databases("disabled", "1: DISABLE was said."),
)
LISTS = (
    _column("used_clients", "pgbouncer_used_clients", _GAUGE, "{connection}", "Clients.", ""),
    _column("login_clients", "pgbouncer_login_clients", _GAUGE, "{connection}",
            "Clients that are logging in.", ""),
    _column("used_servers", "pgbouncer_used_servers", _GAUGE, "{connection}", "Servers.", ""),
    _column("pools", "pgbouncer_pools", _GAUGE, "{pool}", "Pools.", ""),
)  # fmt: skip
# The columns have had other names: 1.19 and older say reserve_pool.
_OLD_NAMES: Mapping[str, str] = {"reserve_pool_size": "reserve_pool"}

METRICS: tuple[Metric, ...] = (
    UP,
    USED,
    MAXWAIT,
    *(column.metric for column in (*STATS, *POOLS, *DATABASES, *LISTS)),
)

Row = Mapping[str, Any]


def look(connection: Connection) -> Look:
    """Ask the console. Raises psycopg.OperationalError where it is lost."""
    began = now()
    cursor = psycopg.ClientCursor(connection)  # the console knows the simple protocol only

    def show(what: str) -> Sequence[Row]:
        return cursor.execute(f"SHOW {what}".encode()).fetchall()

    found = [Sample(UP.name, 1.0, now())]
    for row in show("STATS")[:_ROWS]:
        if row["database"] == _CONSOLE:
            continue
        found += _of(STATS, row, {"database": row["database"]})
    for row in show("POOLS")[:_ROWS]:
        if row["database"] != _CONSOLE:
            place = {"database": row["database"], "user": row["user"]}
            found += _of(POOLS, row, place)
            waited = float(row["maxwait"]) + float(row["maxwait_us"]) / 1e6
            found.append(Sample(MAXWAIT.name, waited, now(), tuple(place.items())))
    for row in show("DATABASES")[:_ROWS]:
        if row["name"] == _CONSOLE:
            continue
        found += _of(DATABASES, row, {"database": row["name"]})
    lists = {row["list"]: row["items"] for row in show("LISTS")}
    found += _of(LISTS, lists, {})
    config = {row["key"]: row["value"] for row in show("CONFIG")}
    used = float(lists["used_clients"]) / max(float(config["max_client_conn"]), 1.0)
    found.append(Sample(USED.name, used, now()))
    return Look(tuple(found), (now() - began).total_seconds())


def silent(silence: Silence) -> list[Sample]:
    """Return what is known of a console that said nothing."""
    found = [Sample(UP.name, 0.0 if silence.away else None, now(), reason=silence.reason)]
    found += [Sample(m.name, None, now(), reason=silence.reason) for m in METRICS if m is not UP]
    return found


def _of(columns: Sequence[Column], row: Row, place: Mapping[str, Any]) -> Iterator[Sample]:
    attributes = tuple((name, str(value)) for name, value in place.items())
    for column in columns:
        value = row.get(column.name, row.get(_OLD_NAMES.get(column.name, "")))
        if value is not None:
            yield Sample(column.metric.name, float(value) * column.factor, now(), attributes)
