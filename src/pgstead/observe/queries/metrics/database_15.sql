-- scope: cluster
-- cadence: fast
-- attributes: datname
-- most: 51
-- counter pg_stat_database_xact_commit_total {transaction}: Transactions committed.
-- counter pg_stat_database_xact_rollback_total {transaction}: Transactions rolled back.
-- counter pg_stat_database_tup_returned_total {row}: Rows read by scans.
-- counter pg_stat_database_tup_fetched_total {row}: Rows fetched by index scans.
-- counter pg_stat_database_tup_inserted_total {row}: Rows inserted.
-- counter pg_stat_database_tup_updated_total {row}: Rows updated.
-- counter pg_stat_database_tup_deleted_total {row}: Rows deleted.
-- counter pg_stat_database_blks_hit_total {block}: Blocks found in shared buffers.
-- counter pg_stat_database_blks_read_total {block}: Blocks read from outside of shared buffers.
-- counter pg_stat_database_blk_read_seconds_total s: Time that reading blocks took.
-- counter pg_stat_database_blk_write_seconds_total s: Time that writing blocks took.
-- counter pg_stat_database_temp_files_total {file}: Temporary files made.
-- counter pg_stat_database_temp_bytes_total By: Bytes written to temporary files.
-- counter pg_stat_database_deadlocks_total {deadlock}: Deadlocks.
-- counter pg_stat_database_conflicts_total {query}: Queries cancelled by recovery.
-- counter pg_stat_database_sessions_total {session}: Sessions begun.
-- counter pg_stat_database_sessions_abandoned_total {session}: Sessions whose client was lost.
-- counter pg_stat_database_sessions_fatal_total {session}: Sessions ended by an error.
-- counter pg_stat_database_sessions_killed_total {session}: Sessions ended by somebody else.
-- counter pg_stat_database_active_seconds_total s: Time that sessions ran statements.
-- counter pg_stat_database_idle_in_transaction_seconds_total s: Time that open transactions did nothing.
-- counter pg_stat_database_checksum_failures_total {failure}: Pages whose checksum was wrong.
-- gauge pg_stat_database_stats_reset_time_seconds s: When these numbers began (Unix time).
-- unknown pg_stat_database_blk_read_seconds_total: track_io_timing is off
-- unknown pg_stat_database_blk_write_seconds_total: track_io_timing is off
-- unknown pg_stat_database_checksum_failures_total: data checksums are off
-- unknown pg_stat_database_stats_reset_time_seconds: they were never reset
SELECT coalesce(datname, '<shared>') AS datname,
       xact_commit AS pg_stat_database_xact_commit_total,
       xact_rollback AS pg_stat_database_xact_rollback_total,
       tup_returned AS pg_stat_database_tup_returned_total,
       tup_fetched AS pg_stat_database_tup_fetched_total,
       tup_inserted AS pg_stat_database_tup_inserted_total,
       tup_updated AS pg_stat_database_tup_updated_total,
       tup_deleted AS pg_stat_database_tup_deleted_total,
       blks_hit AS pg_stat_database_blks_hit_total,
       blks_read AS pg_stat_database_blks_read_total,
       CASE WHEN timed THEN blk_read_time / 1000 END AS pg_stat_database_blk_read_seconds_total,
       CASE WHEN timed THEN blk_write_time / 1000 END AS pg_stat_database_blk_write_seconds_total,
       temp_files AS pg_stat_database_temp_files_total,
       temp_bytes AS pg_stat_database_temp_bytes_total,
       deadlocks AS pg_stat_database_deadlocks_total,
       conflicts AS pg_stat_database_conflicts_total,
       sessions AS pg_stat_database_sessions_total,
       sessions_abandoned AS pg_stat_database_sessions_abandoned_total,
       sessions_fatal AS pg_stat_database_sessions_fatal_total,
       sessions_killed AS pg_stat_database_sessions_killed_total,
       active_time / 1000 AS pg_stat_database_active_seconds_total,
       idle_in_transaction_time / 1000 AS pg_stat_database_idle_in_transaction_seconds_total,
       checksum_failures AS pg_stat_database_checksum_failures_total,
       extract(epoch FROM stats_reset)::float8 AS pg_stat_database_stats_reset_time_seconds
FROM pg_stat_database, (SELECT current_setting('track_io_timing') = 'on') AS t (timed)
WHERE datname IS NULL OR datname NOT IN ('template0', 'template1')
ORDER BY datid LIMIT 51
