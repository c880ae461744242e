-- Transactions that are open for long, and prepared ones.
SELECT coalesce(datname, '')::text AS datname, pid, '' AS gid,
       coalesce(usename, '')::text AS usename, application_name, state,
       backend_start::text AS backend_start,
       extract(epoch FROM clock_timestamp() - xact_start)::float8 AS xact_seconds,
       extract(epoch FROM clock_timestamp() - state_change)::float8 AS state_seconds,
       age(backend_xmin) AS xmin_age, left(query, 500) AS query
FROM pg_stat_activity
WHERE xact_start IS NOT NULL AND backend_type = 'client backend' AND pid <> pg_backend_pid()
UNION ALL
SELECT database::text, 0, gid, owner::text, '', 'prepared', '',
       extract(epoch FROM clock_timestamp() - prepared)::float8,
       extract(epoch FROM clock_timestamp() - prepared)::float8, age(transaction), ''
FROM pg_prepared_xacts
ORDER BY xact_seconds DESC LIMIT 50
