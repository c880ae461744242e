-- Since when statements are counted, and how often rare ones were forgotten.
SELECT stats_reset, dealloc::float8 AS dealloc,
       current_setting('block_size')::float8 AS block_size,
       current_setting('work_mem') AS work_mem,
       (SELECT CASE WHEN setting::int > 0 THEN setting::float8 / 1000 ELSE 1 END FROM pg_settings
        WHERE name = 'log_min_duration_statement') AS slow_seconds,
       (SELECT setting::float8 * 1024 FROM pg_settings WHERE name = 'work_mem') AS work_mem_bytes
FROM pg_stat_statements_info
