-- scope: cluster
-- cadence: fast
-- gauge pg_locks_count {lock}: Locks that are held or waited for.
-- gauge pg_locks_used_ratio 1: Of the locks that the lock table surely has room for.
-- those of the fast path (pg_locks.fastpath) take no room there
SELECT count(*) AS pg_locks_count,
       count(*) FILTER (WHERE NOT fastpath)::float8
       / (current_setting('max_locks_per_transaction')::int
          * (current_setting('max_connections')::int
             + current_setting('max_prepared_transactions')::int)) AS pg_locks_used_ratio
FROM pg_locks
