-- scope: cluster
-- cadence: fast
-- needs: pg_read_all_stats
-- attributes: application_name, state
-- most: 20
-- gauge pg_stat_replication_sent_lag_bytes By: WAL that was not sent yet.
-- gauge pg_stat_replication_write_lag_bytes By: WAL that the receiver has not written yet.
-- gauge pg_stat_replication_replay_lag_bytes By: WAL that it has not replayed yet.
-- unknown pg_stat_replication_replay_lag_bytes: this receiver replays nothing
SELECT application_name, state, max(lsn - sent_lsn)::float8 AS pg_stat_replication_sent_lag_bytes,
       max(lsn - write_lsn)::float8 AS pg_stat_replication_write_lag_bytes,
       max(lsn - replay_lsn)::float8 AS pg_stat_replication_replay_lag_bytes
FROM pg_stat_replication,
     (SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn()
                  ELSE pg_current_wal_lsn() END) AS now (lsn)
WHERE state <> 'backup'
GROUP BY 1, 2
ORDER BY 3 DESC NULLS LAST LIMIT 20
