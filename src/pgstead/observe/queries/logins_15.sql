SELECT pid, usename AS role, application_name AS application,
       coalesce(host(client_addr), '') AS client, backend_start AS began,
       coalesce(state_change, backend_start) AS used,
       coalesce(state, '') <> 'idle' AS busy
FROM pg_catalog.pg_stat_activity
WHERE backend_type = 'client backend' AND usename = ANY (%(roles)s)
