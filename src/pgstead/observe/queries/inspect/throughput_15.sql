-- What the databases have done so far.
SELECT datname::text AS datname, (xact_commit + xact_rollback)::float8 AS transactions,
       blks_read::float8 AS read, blks_hit::float8 AS hit, deadlocks::float8 AS deadlocks,
       temp_bytes::float8 AS temp_bytes, clock_timestamp() AS at
FROM pg_stat_database WHERE datname IS NOT NULL AND datname NOT IN ('template0', 'template1')
ORDER BY datname
