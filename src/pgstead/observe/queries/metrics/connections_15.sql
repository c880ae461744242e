-- scope: cluster
-- cadence: fast
-- needs: pg_read_all_stats
-- gauge pg_connections_used {connection}: Sessions of clients.
-- gauge pg_connections_limit {connection}: Sessions that clients may have: max_connections without what is reserved.
-- gauge pg_connections_used_ratio 1: Used, of the limit.
-- reserved_connections exists since 16
SELECT used AS pg_connections_used, "limit" AS pg_connections_limit,
       used::float8 / nullif("limit", 0) AS pg_connections_used_ratio
FROM (SELECT (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS used,
             current_setting('max_connections')::int
             - current_setting('superuser_reserved_connections')::int
             - coalesce(current_setting('reserved_connections', true)::int, 0) AS "limit") AS c
