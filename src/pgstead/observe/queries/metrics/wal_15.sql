-- scope: cluster
-- cadence: fast
-- counter pg_stat_wal_records_total {record}: WAL records made.
-- counter pg_stat_wal_fpi_total {page}: Whole pages written to WAL.
-- counter pg_stat_wal_bytes_total By: Bytes of WAL made.
-- counter pg_stat_wal_buffers_full_total {write}: Writes because the WAL buffers were full.
-- counter pg_wal_lsn_bytes_total By: The place in the WAL, in bytes.
SELECT wal_records AS pg_stat_wal_records_total, wal_fpi AS pg_stat_wal_fpi_total,
       wal_bytes::float8 AS pg_stat_wal_bytes_total,
       wal_buffers_full AS pg_stat_wal_buffers_full_total,
       (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END
        - '0/0'::pg_lsn)::float8 AS pg_wal_lsn_bytes_total
FROM pg_stat_wal
