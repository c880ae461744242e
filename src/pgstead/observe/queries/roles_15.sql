SELECT rolname AS name, rolcanlogin AS login, rolsuper AS superuser, rolcreatedb AS createdb,
       rolcreaterole AS createrole, rolreplication AS replication, rolbypassrls AS bypassrls,
       rolinherit AS inherit, rolconnlimit AS connection_limit,
       CASE WHEN rolvaliduntil IS NULL OR rolvaliduntil = 'infinity' THEN ''
            ELSE to_char(rolvaliduntil AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
       END AS valid_until,
       coalesce(rolpassword, '') AS stored
FROM pg_catalog.pg_authid
WHERE rolname = ANY (%(names)s)
