-- Blocks and temporary files of each database, and whether their times are counted in it.
SELECT datname::text AS datname, blks_hit::float8 AS hit, blks_read::float8 AS read,
       temp_files::float8 AS temp_files, temp_bytes::float8 AS temp_bytes,
       blk_read_time / 1000 AS read_seconds, blk_write_time / 1000 AS write_seconds,
       coalesce(stats_reset, pg_postmaster_start_time()) AS counted_since,
       current_setting('track_io_timing')::bool AS timed,
       (SELECT source FROM pg_settings WHERE name = 'track_io_timing') AS timed_by
FROM pg_stat_database WHERE datname = current_database()
