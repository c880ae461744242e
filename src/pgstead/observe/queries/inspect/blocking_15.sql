-- Who waits for whom: waiting sessions of this database, and those they wait for.
-- https://www.postgresql.org/docs/current/functions-info.html: a blocker 0 is a prepared transaction
WITH waiting AS MATERIALIZED (
    SELECT pid, pg_blocking_pids(pid) AS blockers
    FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')
SELECT a.pid, coalesce(w.blockers, '{}') AS blockers,
       coalesce(a.usename, '')::text AS usename, a.application_name, a.state, a.backend_type,
       a.backend_start::text AS backend_start,
       extract(epoch FROM clock_timestamp() - a.xact_start)::float8 AS xact_seconds,
       extract(epoch FROM clock_timestamp() - a.state_change)::float8 AS state_seconds,
       extract(epoch FROM clock_timestamp() - l.waitstart)::float8 AS wait_seconds,
       l.mode, l.locktype, l.relation::regclass::text AS relation,
       left(a.query, 500) AS query
FROM pg_stat_activity AS a
LEFT JOIN waiting AS w ON w.pid = a.pid
LEFT JOIN LATERAL (SELECT waitstart, mode, locktype, relation FROM pg_locks
                   WHERE pid = a.pid AND NOT granted LIMIT 1) AS l ON true
WHERE a.pid IN (SELECT pid FROM waiting UNION SELECT unnest(blockers) FROM waiting)
