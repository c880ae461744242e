-- The counters of all statements of this database, without their texts: those lie in a file.
SELECT s.queryid::text AS queryid, coalesce(r.rolname::text, s.userid::text) AS usename,
       sum(s.calls)::float8 AS calls, sum(s.total_exec_time)::float8 / 1000 AS seconds,
       sum(s.rows)::float8 AS rows, sum(s.shared_blks_read)::float8 AS blocks_read,
       sum(s.temp_blks_written)::float8 * current_setting('block_size')::float8 AS temp_bytes
FROM pg_stat_statements(false) AS s LEFT JOIN pg_roles AS r ON r.oid = s.userid
WHERE s.toplevel AND s.queryid IS NOT NULL
  AND s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
GROUP BY 1, 2
