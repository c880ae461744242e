-- Sessions that do something, or hold a transaction open.
SELECT pid, coalesce(datname, '')::text AS datname, coalesce(usename, '')::text AS usename,
       application_name, state, coalesce(wait_event_type || ':' || wait_event, '') AS wait,
       extract(epoch FROM clock_timestamp()
               - CASE state WHEN 'active' THEN query_start ELSE xact_start END)::float8 AS seconds,
       cardinality(pg_blocking_pids(pid)) AS blockers, left(query, 300) AS query
FROM pg_stat_activity
WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
  AND (state = 'active' OR state LIKE 'idle in transaction%' OR state LIKE 'fastpath%')
  AND application_name NOT LIKE 'pgstead inspect%'
ORDER BY seconds DESC NULLS LAST LIMIT 50
