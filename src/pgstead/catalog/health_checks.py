"""What `/health/db` watches, with the thresholds that hold where the manifest says nothing.

The figures are those of docs/adr/0026; REQUIREMENTS TEL-1, TEL-7, TEL-8, APP-7, SRV-8.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pgstead.model.telemetry import Check, Fold, Threshold

_DAY = 86_400.0
_GB = 1024.0**3

CHECKS: tuple[Check, ...] = (
    Check(
        "server", "pg_up", "1", "the server answers the monitoring role",
        Threshold(None, 0.0, 0.0, falling=True), fold=Fold.LOWEST, serving=True,
    ),
    Check(
        "pooler", "pgbouncer_up", "1", "the pooler's console answers",
        Threshold(None, 0.0, 0.0, falling=True), fold=Fold.LOWEST, serving=True,
        without="this stead has no pooler",
    ),
    Check(
        "probe", "pgstead_probe_seconds", "s", "the time that a query without work takes",
        Threshold(0.1, 0.5),
    ),
    Check(
        "connections", "pg_connections_used_ratio", "1",
        "sessions, of those that are not reserved",
        Threshold(0.75, 0.9), serving=True,
    ),
    Check(
        "pool_wait", "pgbouncer_pools_client_maxwait_seconds", "s",
        "how long the first in the pooler's queue has been waiting",
        Threshold(0.5, 1.0), serving=True, without="the pooler has no pool yet",
    ),
    Check(
        "pooler_clients", "pgbouncer_clients_used_ratio", "1", "clients, of max_client_conn",
        Threshold(0.75, 0.9), serving=True, without="this stead has no pooler",
    ),
    Check(
        "idle_in_transaction", "pg_idle_in_transaction_max_seconds", "s",
        "how long the oldest open transaction has been doing nothing",
        Threshold(60.0, 300.0), serving=True,
    ),
    Check(
        "transaction_age", "pg_transaction_max_seconds", "s", "the oldest transaction of a client",
        Threshold(300.0, 900.0),
    ),
    Check(
        "statement_age", "pg_statement_max_seconds", "s", "the oldest running statement",
        Threshold(60.0, 300.0),
    ),
    Check(
        "blocked", "pg_blocked_max_seconds", "s", "how long a session has waited for a lock",
        Threshold(30.0, 120.0), serving=True,
    ),
    Check(
        "lock_table", "pg_locks_used_ratio", "1", "locks, of those that there is room for",
        Threshold(0.5, 0.8),
    ),
    Check(
        "prepared_transactions", "pg_prepared_xacts_oldest_seconds", "s",
        "the oldest prepared transaction", Threshold(300.0, 3600.0),
    ),
    Check(
        "replication_lag", "pg_stat_replication_write_lag_bytes", "By",
        "WAL that a receiver has not written yet",
        Threshold(64 * 1024.0**2, _GB), without="nobody receives WAL",
    ),
    Check(
        "slot_retained", "pg_replication_slots_retained_bytes", "By",
        "WAL that a replication slot keeps", Threshold(_GB, 4 * _GB),
        without="there is no replication slot",
    ),
    Check(
        "slot_inactive", "pg_replication_slots_inactive", "1", "replication slots that nobody uses",
        Threshold(1.0, None, 0.0), fold=Fold.SUM, without="there is no replication slot",
    ),
    Check(
        "archive_queue", "pg_archiver_oldest_ready_seconds", "s",
        "how long the oldest WAL segment has waited for its archiving",
        Threshold(120.0, 300.0), without="nothing is archived by the server",
    ),
    Check(
        "freeze_age", "pg_database_xid_age", "{transaction}", "transactions since the last freeze",
        Threshold(500e6, 1000e6),
    ),
    Check(
        "multixact_age", "pg_database_mxid_age", "{transaction}",
        "multixacts since the last freeze", Threshold(500e6, 1000e6),
    ),
    Check(
        "checksum_failures", "pg_stat_database_checksum_failures_total", "{failure}",
        "pages whose checksum was wrong", Threshold(None, 1.0, 0.0), fold=Fold.SUM, serving=True,
    ),
    Check(
        "plaintext_sessions", "pg_stat_ssl_connections", "{connection}",
        "sessions by TCP without TLS", Threshold(None, 1.0, 0.0), fold=Fold.SUM,
        where=(("ssl", "off"),), without="there is none",
    ),
    Check(
        "pending_restart", "pg_settings_pending_restart_count", "{setting}",
        "settings that wait for a restart", Threshold(1.0, None, 0.0),
    ),
    Check(
        "disk", "pgstead_filesystem_used_ratio", "1", "of the fullest file system",
        Threshold(0.75, 0.9), serving=True,
    ),
    Check(
        "inodes", "pgstead_filesystem_inodes_used_ratio", "1", "of the fullest file system",
        Threshold(0.75, 0.9), serving=True, without="these file systems count no inodes",
    ),
    Check(
        "memory", "pgstead_memory_used_ratio", "1", "of the host, or of the cgroup's limit",
        Threshold(0.85, 0.95),
    ),
    Check(
        "certificate", "pgstead_certificate_remaining_seconds", "s",
        "until the first certificate ends",
        Threshold(30 * _DAY, 7 * _DAY, falling=True), fold=Fold.LOWEST,
        without="there are no certificates",
    ),
    Check(
        "backup_age", "pgstead_backup_age_seconds", "s", "since the last base backup",
        Threshold(26 * 3600.0, 50 * 3600.0, 0.0), without="no backups are made",
    ),
    Check(
        "drill_age", "pgstead_drill_age_seconds", "s", "since a restore was last proven",
        Threshold(2 * _DAY, 8 * _DAY, 0.0), without="no backups are made",
    ),
)  # fmt: skip

BY_NAME: Mapping[str, Check] = MappingProxyType({check.name: check for check in CHECKS})
