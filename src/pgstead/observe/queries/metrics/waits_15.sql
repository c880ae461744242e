-- scope: cluster
-- cadence: fast
-- needs: pg_read_all_stats
-- attributes: wait_event_type
-- most: 20
-- gauge pg_backends_waiting {connection}: Active sessions of clients by what they wait for; CPU: for nothing.
SELECT coalesce(wait_event_type, 'CPU') AS wait_event_type, count(*) AS pg_backends_waiting
FROM pg_stat_activity
WHERE backend_type = 'client backend' AND state = 'active' AND pid <> pg_backend_pid()
GROUP BY 1
