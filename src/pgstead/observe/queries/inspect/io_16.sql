-- Reads and writes by kind of process, object and context.
SELECT backend_type, object, context, reads::float8 AS reads, writes::float8 AS writes,
       (reads * op_bytes)::float8 AS read_bytes, (writes * op_bytes)::float8 AS written_bytes,
       read_time / 1000 AS read_seconds, write_time / 1000 AS write_seconds,
       fsyncs::float8 AS fsyncs, evictions::float8 AS evictions,
       coalesce(stats_reset, pg_postmaster_start_time()) AS counted_since
FROM pg_stat_io
WHERE coalesce(reads, 0) + coalesce(writes, 0) + coalesce(fsyncs, 0) > 0
ORDER BY coalesce(read_time, 0) + coalesce(write_time, 0) DESC,
         coalesce(reads, 0) + coalesce(writes, 0) DESC LIMIT 15
