-- Checkpoints by the clock, and those that WAL asked for too early.
SELECT num_timed::float8 AS timed, num_requested::float8 AS requested, 'checkpointer' AS counters,
       coalesce(stats_reset, pg_postmaster_start_time()) AS counted_since,
       current_setting('max_wal_size') AS max_wal_size,
       pg_size_bytes(current_setting('max_wal_size'))::float8 AS max_wal_bytes
FROM pg_stat_checkpointer
