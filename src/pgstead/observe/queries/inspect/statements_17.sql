-- The statements that took the most time since they are counted.
SELECT s.queryid::text AS queryid, s.userid::int8 AS userid, s.dbid::int8 AS dbid,
       coalesce(r.rolname::text, s.userid::text) AS usename,
       s.calls::float8 AS calls, s.total_exec_time / 1000 AS seconds,
       s.max_exec_time / 1000 AS max_seconds, s.rows::float8 AS rows,
       s.shared_blks_hit::float8 AS blocks_hit, s.shared_blks_read::float8 AS blocks_read,
       s.temp_blks_written::float8 AS temp_blocks, s.wal_bytes::float8 AS wal_bytes,
       s.shared_blk_read_time / 1000 AS read_seconds, s.stats_since AS stats_since,
       left(s.query, 4000) AS query
FROM pg_stat_statements AS s LEFT JOIN pg_roles AS r ON r.oid = s.userid
WHERE s.toplevel AND s.queryid IS NOT NULL
  AND s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
ORDER BY s.total_exec_time DESC LIMIT 50
