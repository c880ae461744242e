-- Who holds back vacuum: the oldest transaction that somebody may still have to see.
SELECT 'session' AS source, pid::text AS name, backend_start::text AS backend_start,
       age(backend_xmin)::float8 AS age, coalesce(datname, '')::text AS datname,
       concat_ws(' ', usename, application_name, state) AS who, false AS active,
       extract(epoch FROM clock_timestamp() - xact_start)::float8 AS seconds
FROM pg_stat_activity WHERE backend_xmin IS NOT NULL AND pid <> pg_backend_pid()
  AND backend_type = 'client backend'
UNION ALL
SELECT 'prepared', gid, '', age(transaction)::float8, database::text, owner::text, false,
       extract(epoch FROM clock_timestamp() - prepared)::float8
FROM pg_prepared_xacts
UNION ALL
SELECT 'slot', slot_name::text, '', greatest(age(xmin), age(catalog_xmin))::float8,
       coalesce(database, '')::text, slot_type, active, NULL
FROM pg_replication_slots WHERE xmin IS NOT NULL OR catalog_xmin IS NOT NULL
UNION ALL
SELECT 'standby', application_name, '', age(backend_xmin)::float8, '', state, true, NULL
FROM pg_stat_replication WHERE backend_xmin IS NOT NULL
ORDER BY age DESC LIMIT 20
