-- Sessions against each limit: of the server, of databases, of roles.
SELECT 'server' AS scope, '' AS name, count(*)::float8 AS used,
       (current_setting('max_connections')::int
        - current_setting('superuser_reserved_connections')::int
        - coalesce(current_setting('reserved_connections', true)::int, 0))::float8 AS allowed
FROM pg_stat_activity WHERE backend_type = 'client backend'
UNION ALL
SELECT 'database', d.datname::text, count(a.pid)::float8, d.datconnlimit::float8
FROM pg_database AS d LEFT JOIN pg_stat_activity AS a
  ON a.datid = d.oid AND a.backend_type = 'client backend'
WHERE d.datconnlimit > 0 GROUP BY d.datname, d.datconnlimit
UNION ALL
SELECT 'role', r.rolname::text, count(a.pid)::float8, r.rolconnlimit::float8
FROM pg_roles AS r LEFT JOIN pg_stat_activity AS a
  ON a.usesysid = r.oid AND a.backend_type = 'client backend'
WHERE r.rolconnlimit > 0 AND r.rolcanlogin GROUP BY r.rolname, r.rolconnlimit
ORDER BY 1, 2
