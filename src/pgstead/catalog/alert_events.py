"""Rules that have a limit of their own: what happened, what is gone, and what nobody knows."""

from __future__ import annotations

from pgstead.model.alerts import (
    LEVELS,
    AgeOf,
    AlertRule,
    Beyond,
    Difference,
    Every,
    Increase,
    Missing,
    Newest,
    Overdue,
    Part,
    Runbook,
    Severity,
    Share,
    Some,
)
from pgstead.model.telemetry import Fold

_W, _C = Severity.WARNING, Severity.CRITICAL
_MINUTE = 60.0
_GB = 1024.0**3
_START, _SHMEM = "pg_postmaster_start_time_seconds", "pg_shmem_init_time_seconds"
_COMMITS = Increase("pg_stat_database_xact_commit_total", 10 * _MINUTE)
_ROLLBACKS = Increase("pg_stat_database_xact_rollback_total", 10 * _MINUTE)
_REQUESTED = Increase("pg_stat_checkpointer_num_requested_total", 30 * _MINUTE)
_TIMED = Increase("pg_stat_checkpointer_num_timed_total", 30 * _MINUTE)
_DEADLOCKS = Increase("pg_stat_database_deadlocks_total", 10 * _MINUTE)
_DENIED = Increase("pgstead_server_errors_total", 10 * _MINUTE, (("sqlstate", "42501"),))
_LOGINS = Increase("pgstead_failed_logins_total", 10 * _MINUTE)
_DEADLOCK = Runbook(
    "The server ended one of the transactions with 40P01; a client that retries loses time only.",
    "`pgstead logs postgres` shows both statements of each deadlock.",
    "Lock rows in one order everywhere (ORDER BY in SELECT ... FOR UPDATE).",
)
_DAY = 86_400.0
_REMAINING = Newest("pgstead_capacity_remaining_seconds", fold=Fold.LOWEST)
_CAPACITY = Runbook(
    "A line through the samples meets the limit on that day; nothing is full yet.",
    "`pgstead capacity`: which one, the earliest and the latest date, from how many samples.",
    "Make room, or end what grows: `pgstead inspect bloat`, `connections`, `vacuum`.",
)
_SEQUENCE = Runbook(
    "When its numbers are used up, every INSERT fails.",
    "`SELECT schemaname, sequencename, last_value, max_value FROM pg_sequences`",
    "Change column and sequence to bigint, in stages (docs/how-to/change-tables-in-stages.md).",
)

RULES: tuple[AlertRule, ...] = (
    AlertRule(
        "ServerDown",
        Some((Beyond(Newest("pg_up", fold=Fold.LOWEST), 0.0, falling=True), Missing("pg_up"))),
        30.0, _C, ("TEL-6", "TEL-3"), "the server does not answer the monitoring role",
        Runbook(
            "The server is stopped, hangs, or refuses pgstead_monitor.",
            "`pgstead status`, `pgstead logs postgres`; a full disk is the commonest cause.",
            "`pgstead up` starts it. Where it hangs, look at the machine before you kill it.",
        ),
        "stop the server",
    ),
    AlertRule(
        "PoolerDown",
        Some((Beyond(Newest("pgbouncer_up", fold=Fold.LOWEST), 0.0, falling=True),
              Missing("pgbouncer_up"))),
        30.0, _C, ("TEL-6", "POL-3"), "the pooler does not answer",
        Runbook(
            "Applications come through it: they cannot connect.",
            "`pgstead status`, `pgstead logs pgbouncer`",
            "`pgstead up` starts it.",
        ),
        "stop the pooler", Part.POOLER,
    ),
    AlertRule(
        "SamplesStale", Overdue(), 0.0, _C, ("TEL-1", "TEL-3"), "nothing is sampled any more",
        Runbook(
            "No other alert means anything now: nobody looks, or nobody can write down what is"
            " seen. Only Prometheus and the dead-man's switch tell of an agent that is gone.",
            "`pgstead status`, `pgstead logs agent`, `df -h` of the state directory",
            "`pgstead up` starts the agent; make room where the disk is full.",
        ),
        "lock the file of the samples",
    ),
    AlertRule(
        "ChecksUnknown",
        Every((Beyond(Newest(LEVELS, fold=Fold.LOWEST), -1.0, falling=True),
               Beyond(Newest("pg_up", fold=Fold.LOWEST), 1.0))),
        5 * _MINUTE, _W, ("TEL-1",), "the server answers, and something of it is unknown",
        Runbook(
            "A privilege is missing, an extension, or a file. What is unknown may be bad.",
            "`/health/db` says of each check in `attention` why nobody knows it.",
            "`pgstead up` gives the monitoring role its privileges again.",
        ),
        "take pg_monitor from the monitoring role",
    ),
    AlertRule(
        "CrashRecovered",
        Every((Beyond(Difference(Newest(_SHMEM), Newest(_START)), 5.0),
               Beyond(AgeOf(_SHMEM), 120.0, falling=True))),
        0.0, _W, ("TEL-3",), "the server has recovered from a crash of one of its processes",
        Runbook(
            "A process was killed or failed; all sessions were ended and memory made anew.",
            "`pgstead logs postgres`: which process, by which signal; `dmesg` for the OOM killer.",
            "Signal 9 is nearly always memory: see MemoryHigh. Signal 11 is a bug: update.",
        ),
        "kill -9 of a backend",
    ),
    AlertRule(
        "Deadlocks", Beyond(_DEADLOCKS, 1.0), 0.0, _W, ("TEL-3",),
        "transactions have blocked each other crosswise", _DEADLOCK,
        "update two rows crosswise", family="deadlocks",
    ),
    AlertRule(
        "DeadlocksCritical", Beyond(_DEADLOCKS, 6.0), 0.0, _C, ("TEL-3",),
        "transactions block each other crosswise again and again", _DEADLOCK,
        "update two rows crosswise, six times", family="deadlocks",
    ),
    AlertRule(
        "RollbackRate",
        Every((Beyond(Share(_ROLLBACKS, _COMMITS), 0.1), Beyond(_ROLLBACKS, 600.0))),
        0.0, _W, ("TEL-3", "APP-7"), "more than a tenth of the transactions are rolled back",
        Runbook(
            "An application fails often, or uses errors where it should ask.",
            "`pgstead logs postgres`: which errors, of whom?",
            "Look at its last release.",
        ),
        "roll back hundreds of transactions",
    ),
    AlertRule(
        "AccessDenied", Beyond(_DENIED, 10.0), 0.0, _W, ("ROL-7",),
        "somebody is refused what they have no right to, again and again",
        Runbook(
            "An application runs with a role or a tenant that is not meant for it, or somebody"
            " tries doors. `pgstead prove` does so as well.",
            "`pgstead audit query --outcome denied --since 1h`; without auditing"
            " `pgstead logs postgres`: SQLSTATE 42501",
            "Mend the application, or take its login from whoever it is:"
            " ALTER ROLE ... NOLOGIN.",
        ),
        "SELECT FROM pg_authid as the application, twelve times",
    ),
    AlertRule(
        "LoginsRefused", Beyond(_LOGINS, 10.0), 0.0, _W, ("ROL-7",),
        "logins fail again and again",
        Runbook(
            "A password was changed and not told, or somebody guesses.",
            "`pgstead audit query --kind login --outcome denied --since 1h`; without auditing"
            " `pgstead logs postgres` and `pgstead logs pgbouncer`",
            "Give the application its password; narrow networks.allow.",
        ),
        "log in with a wrong password, twelve times",
    ),
    AlertRule(
        "TemporaryFiles",
        Beyond(Increase("pg_stat_database_temp_bytes_total", 5 * _MINUTE), _GB),
        10 * _MINUTE, _W, ("TEL-3",), "sorts and hashes spill to disk",
        Runbook(
            "Statements need more memory than work_mem gives them.",
            "`SELECT query, temp_blks_written FROM pg_stat_statements ORDER BY 2 DESC LIMIT 10`",
            "An index that gives the order; or more work_mem for that role.",
        ),
        "sort a gigabyte",
    ),
    AlertRule(
        "CheckpointsRequested",
        Every((Beyond(Share(_REQUESTED, _TIMED), 0.5), Beyond(_REQUESTED, 6.0))),
        0.0, _W, ("TEL-3",), "checkpoints come before their time",
        Runbook(
            "WAL reaches max_wal_size before checkpoint_timeout; pages are written too often.",
            "`pgstead logs postgres`: `checkpoint starting: wal`",
            "Raise server.settings.max_wal_size, as far as the disk allows.",
        ),
        "CHECKPOINT, six times",
    ),
    AlertRule(
        "ArchiverFailing", Beyond(Newest("pg_stat_archiver_failing"), 1.0), 2 * _MINUTE, _W,
        ("BAK-1", "TEL-3"), "the last attempt to archive WAL failed",
        Runbook(
            "WAL stays here until it succeeds; see ArchiveQueue.",
            "`SELECT last_failed_wal, last_failed_time FROM pg_stat_archiver`;"
            " `pgstead logs postgres`",
            "Mend archive_command, or the place that it copies to.",
        ),
        "an archive_command that fails",
    ),
    AlertRule(
        "SlotLosesWal",
        Beyond(Newest("pg_replication_slots_safe_wal_size_bytes", fold=Fold.LOWEST), _GB,
               falling=True),
        0.0, _C, ("TEL-3", "TEL-7"), "a replication slot is about to lose WAL",
        Runbook(
            "After that its consumer has to begin anew.",
            "`SELECT slot_name, wal_status, safe_wal_size FROM pg_replication_slots`",
            "Bring the consumer back, or raise max_slot_wal_keep_size where the disk has room.",
        ),
        "a slot that nobody reads, and little max_slot_wal_keep_size",
    ),
    AlertRule(
        "SequenceEnds", Beyond(Newest("pg_sequence_used_ratio"), 0.7), 0.0, _W, ("TEL-7",),
        "a sequence has used most of its numbers", _SEQUENCE,
        "setval() near the end", family="sequences",
    ),
    AlertRule(
        "SequenceEndsCritical", Beyond(Newest("pg_sequence_used_ratio"), 0.9), 0.0, _C,
        ("TEL-7",), "a sequence has nearly no number left", _SEQUENCE,
        "setval() nearer to the end", family="sequences",
    ),
    AlertRule(
        "CapacityEnds", Beyond(_REMAINING, 30 * _DAY, falling=True), 30 * _MINUTE, _W, ("TEL-7",),
        "a capacity is used up within thirty days if it grows on", _CAPACITY,
        "samples of a sequence that grows by itself within hours", family="capacity",
    ),
    AlertRule(
        "CapacityEndsCritical", Beyond(_REMAINING, 7 * _DAY, falling=True), 30 * _MINUTE, _C,
        ("TEL-7",), "a capacity is used up within a week if it grows on", _CAPACITY,
        "samples of a sequence that grows faster", family="capacity",
    ),
    AlertRule(
        "UpkeepFailing", Beyond(Newest("pgstead_upkeep_failing"), 1.0), 0.0, _W, ("OPS-1",),
        "upkeep of a table or index failed when it was tried last",
        Runbook(
            "No lock and no time are no failure: those are tried again. This one needs somebody.",
            "`pgstead upkeep status` says which, and what the server said.",
            "Mend the cause (doubles below a unique index, no disk, no right), then"
            " `pgstead upkeep run`.",
        ),
        "REINDEX of a unique index over doubles",
    ),
    AlertRule(
        "DataDamaged", Beyond(Newest("pgstead_damages"), 1.0), 0.0, _C, ("OPS-7", "TEL-3"),
        "data was found damaged, and nobody has repaired it",
        Runbook(
            "A page, a row, an index, a constraint, a number or a file is not as it should be."
            " The next backups hold it too, and old ones are let go of.",
            "`pgstead integrity history` and `pgstead integrity repair --dry-run`: each by name,"
            " with what can be done. Of wrong checksums: `dmesg`, for the disk.",
            "`pgstead integrity repair --yes` where nothing can be lost, `pgstead integrity"
            " salvage` for a table, the rows by hand; then `pgstead integrity check`.",
        ),
        "a row without the one that it refers to, and a check",
    ),
    AlertRule(
        "IndexInvalid", Beyond(Newest("pg_indexes_invalid", fold=Fold.SUM), 1.0), 15 * _MINUTE, _W,
        ("TEL-5", "TEL-3"), "an index is not valid, and nobody builds it",
        Runbook(
            "CREATE INDEX CONCURRENTLY failed; the index costs writes and serves no query.",
            "`SELECT indexrelid::regclass FROM pg_index WHERE NOT indisvalid`",
            "`pgstead upkeep run --only rebuild`; the agent does it in its next window.",
        ),
        "CREATE UNIQUE INDEX CONCURRENTLY on doubles",
    ),
    AlertRule(
        "VacuumHeldBack", Beyond(Newest("pg_oldest_xmin_age"), 50e6), 5 * _MINUTE, _W,
        ("TEL-7", "TEL-3"), "something keeps vacuum from removing rows",
        Runbook(
            "A session, a prepared transaction, a slot or a standby needs old rows; `source` says"
            " which.",
            "pg_stat_activity.backend_xmin, pg_prepared_xacts, pg_replication_slots.xmin",
            "End it; tables that have grown do not shrink by themselves.",
        ),
        "an old snapshot, and transactions",
    ),
)  # fmt: skip
