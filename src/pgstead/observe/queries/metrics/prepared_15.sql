-- scope: cluster
-- cadence: fast
-- gauge pg_prepared_xacts_count {transaction}: Prepared transactions that nobody has ended.
-- gauge pg_prepared_xacts_oldest_seconds s: Age of the oldest; 0 without one.
SELECT count(*) AS pg_prepared_xacts_count,
       coalesce(extract(epoch FROM now() - min(prepared)), 0)::float8
           AS pg_prepared_xacts_oldest_seconds
FROM pg_prepared_xacts
