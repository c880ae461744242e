"""Metric truth: work of known size, and what `/metrics` says of it, within stated bounds.

A bound is exact where nobody else does the same. Where the server itself or the agent does, the
table says how much more there may be.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.fix_stead import LiveStead
from tests.live.telemetry import workloads
from tests.live.telemetry.seen import ANSWERS, after, health, newest
from tests.live.telemetry.workloads import (
    COMMITS,
    DELETED,
    DIVISIONS,
    FETCHED,
    KILLED,
    OWN,
    POOLED,
    REPEATED,
    REQUESTS,
    ROLLBACKS,
    ROWS,
    SCANS,
    SENT,
    UPDATED,
    WAL,
    WRONG_DIRECT,
    WRONG_POOLED,
)
from tests.waiting import until

Shown = dict[tuple[str, tuple[tuple[str, str], ...]], float]
CATALOG = 3000  # rows that planning reads of the catalogs, which are counted like any other


@dataclass
class Measured:
    """What was shown before, during and after the work."""

    before: Shown
    during: Shown
    after: Shown
    sorted: int

    def grown(self, metric: str, where: dict[str, str]) -> float:
        """Return by how much a counter has grown, summed over the series that match."""
        return _sum(self.after, metric, where) - _sum(self.before, metric, where, absent=0.0)


def _sum(shown: Shown, metric: str, where: dict[str, str], absent: float | None = None) -> float:
    found = [
        value
        for (name, labels), value in shown.items()
        if name == metric and where.items() <= dict(labels).items()
    ]
    assert found or absent is not None, f"{metric}{where} is not shown"
    return sum(found)


def shown(stead: LiveStead) -> Shown:
    """Return what /metrics tells."""
    text = httpx.get(f"http://127.0.0.1:{stead.api_port}/metrics", timeout=60).text
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def whole(stead: LiveStead) -> Shown:
    """Return what /metrics tells of a look that all have answered; the newest may be another."""

    def answered() -> Shown | None:
        told = shown(stead)
        return told if all(told.get(key) for key in ANSWERS) else None

    return until(answered, "metrics of a whole look")


@pytest.fixture(scope="module")
def measured(sampled: LiveStead) -> Iterator[Measured]:
    """Do all work between two looks of the agent."""
    with workloads.database(sampled):
        # a session tells its numbers at its end, or a second after a statement
        after(sampled, 1.5)
        before = whole(sampled)
        with workloads.waits_and_idles(sampled):
            after(sampled)
            during = whole(sampled)
        workloads.transactions(sampled)
        spilled = workloads.sort(sampled)
        workloads.deadlock(sampled)
        workloads.killed(sampled)
        workloads.failures(sampled)
        workloads.through_the_pooler(sampled)
        workloads.requests(sampled)
        after(sampled, 1.5)
        yield Measured(before, during, whole(sampled), spilled)


HERE, MINE = {"datname": "jeex_idea"}, {"datname": OWN}
POOLER = {"database": "jeex_idea"}
POOL = {"db_client_connection_pool_name": "jeex_idea"}
DATABASE, STATS = "pg_stat_database", "pgbouncer_stats"
ANSWERED = REQUESTS + 2 * REPEATED  # times that the service takes a connection
# metric, labels, what was done, and what else there may be of it
GROWN: list[tuple[str, dict[str, str], float, float]] = [
    (f"{DATABASE}_xact_commit_total", MINE, COMMITS, 20),  # sessions begin with one
    (f"{DATABASE}_xact_rollback_total", MINE, ROLLBACKS + 4, 0),  # two deadlocked, two broken off
    (f"{DATABASE}_tup_inserted_total", MINE, ROWS, 0),
    (f"{DATABASE}_tup_updated_total", MINE, UPDATED + 3, 1),  # the deadlock's, of either
    (f"{DATABASE}_tup_deleted_total", MINE, DELETED, 0),
    (f"{DATABASE}_tup_fetched_total", MINE, FETCHED, CATALOG),
    (f"{DATABASE}_tup_returned_total", MINE, SCANS * (ROWS - DELETED) + FETCHED, 2 * CATALOG),
    (f"{DATABASE}_temp_files_total", MINE, 1, 0),
    (f"{DATABASE}_deadlocks_total", MINE, 1, 0),
    (f"{DATABASE}_sessions_total", MINE, 3 + 1 + 1 + 2 + KILLED, 0),
    (f"{DATABASE}_sessions_killed_total", MINE, KILLED, 0),
    ("pg_wal_lsn_bytes_total", {}, WAL, 0.4 * WAL),
    ("pg_stat_wal_bytes_total", {}, WAL, 0.4 * WAL),
    ("pg_stat_checkpointer_num_requested_total", {}, 1, 0),
    ("pg_stat_statements_calls_total", HERE, POOLED + ANSWERED, 700),
    ("pgstead_server_errors_total", {**HERE, "sqlstate": "22012"}, DIVISIONS, 0),
    ("pgstead_server_errors_total", {**HERE, "sqlstate": "40001"}, REPEATED, 0),
    ("pgstead_server_errors_total", {"datname": "", "sqlstate": "40P01"}, 1, 0),
    ("pgstead_failed_logins_total", {"door": "direct"}, WRONG_DIRECT, 0),
    ("pgstead_failed_logins_total", {"door": "pooler"}, WRONG_POOLED, 0),
    (f"{STATS}_sql_transactions_pooled_total", POOLER, POOLED + ANSWERED, 4),
    (f"{STATS}_received_bytes_total", POOLER, SENT, 0.2 * SENT),
    ("db_client_connection_wait_time_seconds_count", POOL, ANSWERED, 0),
    ("db_client_connection_use_time_seconds_count", POOL, ANSWERED, 0),
    ("db_client_connection_timeouts_total", POOL, 0, 0),
    ("pgstead_app_units_total", {"db_namespace": "jeex_idea"}, REQUESTS + REPEATED, 3),
    ("pgstead_app_retries_total", {"db_namespace": "jeex_idea"}, REPEATED, 0),
    ("db_client_operation_duration_seconds_count",
     {"db_operation_name": "INSERT", "db_response_status_code": "40001"}, REPEATED, 0),
]  # fmt: skip
HELD: list[tuple[str, dict[str, str], float]] = [
    ("pg_idle_in_transaction_count", {}, 1),
    ("pg_blocked_backends", {}, 1),
    ("pg_backends_waiting", {"wait_event_type": "Lock"}, 1),
    ("pg_backends_waiting", {"wait_event_type": "Timeout"}, 1),
    ("pg_stat_activity_count", {**MINE, "state": "active"}, 2),
    ("pg_stat_activity_count", {**MINE, "state": "idle in transaction"}, 1),
]


@pytest.mark.parametrize(
    ("metric", "where", "done", "more"),
    GROWN,
    ids=[f"{name}-{''.join(where.values())}" for name, where, *_ in GROWN],
)
def test_a_counter_grows_by_the_work_that_was_done(
    measured: Measured, metric: str, where: dict[str, str], done: float, more: float
) -> None:
    assert done <= measured.grown(metric, where) <= done + more


def test_temporary_bytes_are_those_that_the_sort_took(measured: Measured) -> None:
    grown = measured.grown(f"{DATABASE}_temp_bytes_total", MINE)
    assert grown == pytest.approx(measured.sorted, rel=0.02)


@pytest.mark.parametrize(("metric", "where", "count"), HELD)
def test_a_gauge_tells_of_sessions_while_they_are_held(
    measured: Measured, metric: str, where: dict[str, str], count: float
) -> None:
    assert _sum(measured.during, metric, where) == count


def test_the_age_of_what_is_held_is_told(measured: Measured) -> None:
    for metric in ("pg_idle_in_transaction_max", "pg_blocked_max", "pg_statement_max"):
        assert 0 < _sum(measured.during, f"{metric}_seconds", {}) < 60


def test_what_is_not_known_has_a_reason_and_no_value(sampled: LiveStead) -> None:
    found = newest(sampled)
    unknown = [s for s in found.values() if s.value is None]
    assert unknown
    assert all(s.reason for s in unknown)
    told = {name for name, _ in shown(sampled)}
    names = {s.metric for s in unknown} - {s.metric for s in found.values() if s.value is not None}
    assert names
    assert not names & told


def test_a_stranger_gets_neither_metrics_nor_details(sampled: LiveStead) -> None:
    stranger = {"X-Forwarded-For": "203.0.113.7"}
    address = f"http://127.0.0.1:{sampled.api_port}"
    assert httpx.get(f"{address}/metrics", headers=stranger, timeout=60).status_code == 403
    assert list(httpx.get(f"{address}/health/db", headers=stranger, timeout=60).json()) == [
        "status"
    ]
    assert health(sampled).json()["checks"]
