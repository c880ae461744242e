-- scope: cluster
-- cadence: fast
-- needs: pg_read_all_stats
-- attributes: datname, state
-- most: 300
-- gauge pg_stat_activity_count {connection}: Sessions of clients by what they do.
SELECT coalesce(datname, '') AS datname, coalesce(state, 'unknown') AS state,
       count(*) AS pg_stat_activity_count
FROM pg_stat_activity WHERE backend_type = 'client backend'
GROUP BY 1, 2
ORDER BY 3 DESC, 1, 2 LIMIT 300
