-- scope: cluster
-- cadence: slow
-- gauge pg_wal_size_bytes By: Size of pg_wal.
-- gauge pg_wal_segments {segment}: Files in it.
SELECT coalesce(sum(size), 0)::float8 AS pg_wal_size_bytes, count(*) AS pg_wal_segments
FROM pg_ls_waldir()
