-- scope: cluster
-- cadence: fast
-- attributes: backend_type, object, context
-- most: 100
-- counter pg_stat_io_reads_total {operation}: Reads.
-- counter pg_stat_io_read_bytes_total By: Bytes read.
-- counter pg_stat_io_read_seconds_total s: Time that reading took.
-- counter pg_stat_io_writes_total {operation}: Writes.
-- counter pg_stat_io_write_bytes_total By: Bytes written.
-- counter pg_stat_io_write_seconds_total s: Time that writing took.
-- counter pg_stat_io_fsyncs_total {operation}: Calls of fsync.
-- counter pg_stat_io_fsync_seconds_total s: Time that fsync took.
-- counter pg_stat_io_evictions_total {buffer}: Buffers given up for others.
-- unknown pg_stat_io_read_seconds_total: track_io_timing (of WAL: track_wal_io_timing) is off
-- unknown pg_stat_io_write_seconds_total: track_io_timing (of WAL: track_wal_io_timing) is off
-- unknown pg_stat_io_fsync_seconds_total: track_io_timing (of WAL: track_wal_io_timing) is off
-- a NULL count says that this process does nothing of the kind (the manual, 27.2.13)
-- absent pg_stat_io_reads_total pg_stat_io_read_bytes_total pg_stat_io_writes_total
-- absent pg_stat_io_write_bytes_total pg_stat_io_fsyncs_total pg_stat_io_evictions_total
SELECT backend_type, object, context, reads AS pg_stat_io_reads_total,
       (reads * op_bytes)::float8 AS pg_stat_io_read_bytes_total,
       CASE WHEN timed THEN read_time / 1000 END AS pg_stat_io_read_seconds_total,
       writes AS pg_stat_io_writes_total,
       (writes * op_bytes)::float8 AS pg_stat_io_write_bytes_total,
       CASE WHEN timed THEN write_time / 1000 END AS pg_stat_io_write_seconds_total,
       fsyncs AS pg_stat_io_fsyncs_total,
       CASE WHEN timed THEN fsync_time / 1000 END AS pg_stat_io_fsync_seconds_total,
       evictions AS pg_stat_io_evictions_total
FROM pg_stat_io, LATERAL (SELECT current_setting('track_io_timing') = 'on') AS t (timed)
WHERE coalesce(reads, 0) + coalesce(writes, 0) + coalesce(fsyncs, 0) > 0
