-- scope: cluster
-- cadence: fast
-- needs: pg_read_all_stats
-- gauge pg_transaction_max_seconds s: Age of the oldest transaction of a client; 0 without one.
-- gauge pg_statement_max_seconds s: Age of the oldest running statement of a client; 0 without one.
-- gauge pg_idle_in_transaction_count {connection}: Sessions with an open transaction that do nothing.
-- gauge pg_idle_in_transaction_max_seconds s: How long the first of them has done nothing; 0 without one.
-- gauge pg_blocked_backends {connection}: Sessions that wait for a lock.
-- gauge pg_blocked_max_seconds s: How long the first of them has waited; 0 without one.
SELECT a.*, b.*
FROM (SELECT coalesce(max(extract(epoch FROM now() - xact_start)), 0)::float8
                 AS pg_transaction_max_seconds,
             coalesce(max(extract(epoch FROM now() - query_start)) FILTER (WHERE state = 'active'),
                      0)::float8 AS pg_statement_max_seconds,
             count(*) FILTER (WHERE state LIKE 'idle in transaction%')
                 AS pg_idle_in_transaction_count,
             coalesce(max(extract(epoch FROM now() - state_change))
                      FILTER (WHERE state LIKE 'idle in transaction%'), 0)::float8
                 AS pg_idle_in_transaction_max_seconds
      FROM pg_stat_activity
      WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()) AS a,
     (SELECT count(DISTINCT pid) AS pg_blocked_backends,
             coalesce(max(extract(epoch FROM now() - waitstart)), 0)::float8
                 AS pg_blocked_max_seconds
      FROM pg_locks WHERE NOT granted) AS b
