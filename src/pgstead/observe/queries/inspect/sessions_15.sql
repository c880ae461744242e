-- Sessions by database, role, program and state.
SELECT coalesce(a.datname, '')::text AS datname, coalesce(a.usename, '')::text AS usename,
       a.application_name, coalesce(a.state, 'unknown') AS state, count(*)::float8 AS sessions,
       max(extract(epoch FROM clock_timestamp() - a.state_change))::float8 AS longest,
       count(*) FILTER (WHERE a.client_addr IS NOT NULL AND NOT s.ssl)::float8 AS plain
FROM pg_stat_activity AS a LEFT JOIN pg_stat_ssl AS s ON s.pid = a.pid
WHERE a.backend_type = 'client backend' AND a.pid <> pg_backend_pid()
GROUP BY 1, 2, 3, 4 ORDER BY sessions DESC, 1, 2, 3, 4 LIMIT 50
