"""Rules whose limits are the thresholds of `/health/db`, those of the manifest (TEL-1, TEL-3)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pgstead.model.alerts import AlertRule, AtLevel, Part, Runbook, Severity
from pgstead.model.telemetry import Level

_MINUTE = 60.0


@dataclass(frozen=True, slots=True)
class _Watched:
    """A check with what is to be said of it; None for a level that it has no rule for."""

    name: str
    check: str
    warning: float | None  # seconds that it has to last
    critical: float | None
    requirements: tuple[str, ...]
    summary: str
    runbook: Runbook
    fault: str
    needs: Part | None = None


def _rules(told: _Watched) -> Iterator[AlertRule]:
    levels = (
        (Level.WARNING, Severity.WARNING, told.warning, ""),
        (Level.CRITICAL, Severity.CRITICAL, told.critical, "Critical"),
    )
    for level, severity, hold, suffix in levels:
        if hold is None:
            continue
        name = told.name + (suffix if told.warning is not None else "")
        yield AlertRule(
            name, AtLevel(told.check, level), hold, severity, told.requirements, told.summary,
            told.runbook, told.fault, told.needs, told.check,
        )  # fmt: skip


_ACTIVITY = (
    "SELECT pid, usename, application_name, state, wait_event_type, xact_start, query"
    " FROM pg_stat_activity WHERE backend_type = 'client backend' ORDER BY xact_start"
)

_WATCHED: tuple[_Watched, ...] = (
    _Watched(
        "ProbeSlow", "probe", 5 * _MINUTE, 5 * _MINUTE, ("TEL-1",),
        "a query without work takes long",
        Runbook(
            "The server or the machine is busy: this query needs no table and waits for no lock.",
            "`top` on the machine, `pg_backends_waiting` in /metrics.",
            "Find who uses CPU or disk; fewer sessions at once often do more.",
        ),
        "delay the connection of the monitor",
    ),
    _Watched(
        "ConnectionsHigh", "connections", 5 * _MINUTE, _MINUTE, ("TEL-1", "SRV-5"),
        "sessions near their limit",
        Runbook(
            "When none is left, applications are refused with 53300.",
            f"`{_ACTIVITY}`",
            "Find the application that takes more than its budget (`pgstead status`); let it come"
            " through the pooler, or end sessions that are idle.",
        ),
        "open sessions until the limit is near",
    ),
    _Watched(
        "PoolWait", "pool_wait", 30.0, 30.0, ("TEL-1", "APP-7"),
        "clients wait in the pooler's queue",
        Runbook(
            "All connections of a pool are in use; requests wait for one.",
            f"`SHOW POOLS` at the pooler's console; `{_ACTIVITY}`",
            "End what holds connections (long or idle transactions); then think of a larger pool.",
        ),
        "hold all connections of a pool", Part.POOLER,
    ),
    _Watched(
        "PoolerClientsHigh", "pooler_clients", 5 * _MINUTE, _MINUTE, ("TEL-1", "POL-3"),
        "clients of the pooler near max_client_conn",
        Runbook(
            "When none is left, the pooler refuses further clients.",
            "`SHOW CLIENTS` at the pooler's console: which application has most of them?",
            "Lower the pools of that application, or its processes.",
        ),
        "open many connections to the pooler", Part.POOLER,
    ),
    _Watched(
        "IdleInTransaction", "idle_in_transaction", 0.0, 0.0, ("TEL-1", "SRV-8"),
        "an open transaction does nothing",
        Runbook(
            "It holds its locks and keeps vacuum from removing rows, for as long as it is open.",
            f"`{_ACTIVITY}`",
            "Mend the application (commit before waiting for others);"
            " `SELECT pg_terminate_backend(pid)` ends one.",
        ),
        "BEGIN, and do nothing",
    ),
    _Watched(
        "TransactionOld", "transaction_age", 0.0, 0.0, ("TEL-1", "SRV-8"),
        "a transaction is open for long",
        Runbook(
            "Rows that it may still see cannot be removed; tables grow.",
            f"`{_ACTIVITY}`",
            "Let it end if it is a report; cut it into smaller ones; or end it.",
        ),
        "a transaction with a statement now and then",
    ),
    _Watched(
        "StatementOld", "statement_age", 0.0, 0.0, ("TEL-1", "TEL-5"),
        "a statement runs for long",
        Runbook(
            "A plan that is wrong, a lock that it waits for, or much work.",
            f"`{_ACTIVITY}`, then EXPLAIN of the statement.",
            "`SELECT pg_cancel_backend(pid)` ends the statement and leaves the session.",
        ),
        "SELECT pg_sleep()",
    ),
    _Watched(
        "Blocked", "blocked", 0.0, 0.0, ("TEL-1", "SRV-8"),
        "a session has waited for a lock for long",
        Runbook(
            "Somebody holds a lock, and others queue behind who waits for it.",
            "`SELECT pid, pg_blocking_pids(pid), query FROM pg_stat_activity"
            " WHERE cardinality(pg_blocking_pids(pid)) > 0`",
            "End the session at the root of the chain: the one that nobody blocks.",
        ),
        "LOCK TABLE in one session, SELECT in another",
    ),
    _Watched(
        "LockTableFull", "lock_table", 2 * _MINUTE, _MINUTE, ("TEL-1",),
        "the lock table fills up",
        Runbook(
            "When it is full, statements fail with 53200 for everybody.",
            "`SELECT pid, count(*) FROM pg_locks GROUP BY 1 ORDER BY 2 DESC`",
            "A transaction that touches very many partitions or tables: cut it, or raise"
            " max_locks_per_transaction (restart).",
        ),
        "lock many advisory keys in one transaction",
    ),
    _Watched(
        "PreparedTransactionOld", "prepared_transactions", 0.0, 0.0, ("TEL-1",),
        "a prepared transaction was forgotten",
        Runbook(
            "It survives restarts, holds its locks, and stops vacuum.",
            "`SELECT * FROM pg_prepared_xacts ORDER BY prepared`",
            "Ask its coordinator; then COMMIT PREPARED or ROLLBACK PREPARED by its gid.",
        ),
        "PREPARE TRANSACTION",
    ),
    _Watched(
        "ReplicationLag", "replication_lag", 2 * _MINUTE, _MINUTE, ("TEL-1", "BAK-1"),
        "who receives WAL is behind",
        Runbook(
            "What is not received is lost with this machine, and its WAL fills the disk.",
            "`SELECT * FROM pg_stat_replication`; `pgstead logs`",
            "Look at network and disk of the receiver.",
        ),
        "stop the receiver with SIGSTOP and write WAL",
    ),
    _Watched(
        "SlotRetains", "slot_retained", 2 * _MINUTE, 0.0, ("TEL-1", "TEL-7"),
        "a replication slot keeps much WAL",
        Runbook(
            "WAL is kept until its consumer comes back; the disk fills.",
            "`SELECT slot_name, active, wal_status, safe_wal_size FROM pg_replication_slots`",
            "Bring the consumer back, or `SELECT pg_drop_replication_slot(name)`.",
        ),
        "a slot that nobody reads, and WAL",
    ),
    _Watched(
        "SlotInactive", "slot_inactive", 10 * _MINUTE, None, ("TEL-1",),
        "nobody uses a replication slot",
        Runbook(
            "It keeps WAL, and rows for a logical one, as long as it exists.",
            "`SELECT slot_name, slot_type, inactive_since FROM pg_replication_slots`"
            " (17 and newer have the last column)",
            "Start its consumer, or drop it.",
        ),
        "make a slot",
    ),
    _Watched(
        "ArchiveQueue", "archive_queue", 0.0, 0.0, ("TEL-1", "BAK-1"),
        "WAL waits for its archiving",
        Runbook(
            "WAL that is not archived is not in the backup, and stays on this disk.",
            "`SELECT * FROM pg_stat_archiver`; `pgstead logs postgres`",
            "Mend archive_command, or the place that it copies to.",
        ),
        "an archive_command that fails",
    ),
    _Watched(
        "FreezeAge", "freeze_age", 0.0, 0.0, ("TEL-1", "TEL-7"),
        "vacuum does not keep up with transaction ids",
        Runbook(
            "At two billion the server refuses to write.",
            "`SELECT datname, age(datfrozenxid) FROM pg_database ORDER BY 2 DESC`; who holds"
            " vacuum back is in `pg_oldest_xmin_age` of /metrics.",
            "End old transactions, prepared ones, dead slots; then VACUUM (FREEZE) the oldest.",
        ),
        "use up transaction ids",
    ),
    _Watched(
        "MultixactAge", "multixact_age", 0.0, 0.0, ("TEL-1", "TEL-7"),
        "vacuum does not keep up with multixacts",
        Runbook(
            "As with transaction ids, for rows that several transactions lock.",
            "`SELECT datname, mxid_age(datminmxid) FROM pg_database ORDER BY 2 DESC`",
            "As for FreezeAge.",
        ),
        "use up multixacts",
    ),
    _Watched(
        "ChecksumFailure", "checksum_failures", None, 0.0, ("TEL-1", "OPS-7"),
        "a page on disk is damaged",
        Runbook(
            "Disk, memory or file system changed a page. It is seldom the only one.",
            "`SELECT datname, checksum_failures, checksum_last_failure FROM pg_stat_database`",
            "Make no backup over a good one. `pgstead restore` from before; change the disk.",
        ),
        "write garbage into a page of a table",
    ),
    _Watched(
        "PlaintextSession", "plaintext_sessions", None, 0.0, ("TLS-1", "TEL-1"),
        "a session came by TCP without TLS",
        Runbook(
            "pg_hba.conf lets somebody in without TLS: it is not what pgstead wrote.",
            "`SELECT a.pid, usename, client_addr FROM pg_stat_ssl JOIN pg_stat_activity AS a"
            " USING (pid) WHERE NOT ssl AND client_addr IS NOT NULL`",
            "`pgstead plan`, `pgstead up`; change the password that went over the network.",
        ),
        "a rule `host` in pg_hba.conf",
    ),
    _Watched(
        "PendingRestart", "pending_restart", 15 * _MINUTE, None, ("TEL-1",),
        "settings wait for a restart",
        Runbook(
            "The server runs with other settings than its files have.",
            "`SELECT name, setting FROM pg_settings WHERE pending_restart`",
            "`pgstead plan`, then `pgstead up --allow restart` when it suits.",
        ),
        "ALTER SYSTEM SET max_connections",
    ),
    _Watched(
        "DiskFull", "disk", _MINUTE, 0.0, ("TEL-1", "TEL-7"),
        "a file system fills up",
        Runbook(
            "When pg_wal cannot grow, the server stops.",
            "`df -h`; `pg_wal_size_bytes` and `pg_database_size_bytes` in /metrics",
            "Look for WAL that a slot keeps first; then make room, never in pg_wal by hand.",
        ),
        "fill the file system",
    ),
    _Watched(
        "InodesFull", "inodes", _MINUTE, 0.0, ("TEL-1", "TEL-7"),
        "a file system has few inodes left",
        Runbook(
            "No file can be made, although there is room.",
            "`df -i`",
            "Remove what has many small files.",
        ),
        "make empty files",
    ),
    _Watched(
        "MemoryHigh", "memory", 5 * _MINUTE, _MINUTE, ("TEL-8",),
        "memory is nearly used up",
        Runbook(
            "When none is left, the kernel kills a process; the server then recovers as from a"
            " crash.",
            "`pgstead_server_private_bytes` in /metrics: is it the server?",
            "Lower work_mem or the number of sessions; `pgstead explain server.work_mem`.",
        ),
        "use up memory",
    ),
    _Watched(
        "CertificateEnds", "certificate", 0.0, 0.0, ("TLS-2", "TEL-1"),
        "a certificate ends soon",
        Runbook(
            "Clients that verify it, all of ours, are refused afterwards.",
            "`pgstead status` shows each with its day.",
            "`pgstead up` renews what pgstead made; one of your own comes from you.",
        ),
        "a certificate of a short life",
    ),
    _Watched(
        "BackupOld", "backup_age", 0.0, 0.0, ("BAK-1", "TEL-1"),
        "the last base backup is old",
        Runbook(
            "A restore takes longer with each day of WAL, until it is not to be had at all.",
            "`pgstead backup list`, `pgstead logs agent`",
            "`pgstead backup now` shows why it fails.",
        ),
        "no backup for longer than max_age", Part.BACKUP,
    ),
    _Watched(
        "DrillOld", "drill_age", 0.0, 0.0, ("BAK-2", "TEL-1"),
        "no restore was proven lately",
        Runbook(
            "A backup that was never restored is a hope.",
            "`pgstead backup list`, `pgstead logs agent`",
            "`pgstead drill` shows why it fails.",
        ),
        "no drill for longer than max_age", Part.BACKUP,
    ),
)  # fmt: skip

RULES: tuple[AlertRule, ...] = tuple(rule for told in _WATCHED for rule in _rules(told))
