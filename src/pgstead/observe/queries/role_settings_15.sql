-- setdatabase 0: every database; setrole 0: every role.
SELECT coalesce(r.rolname, '') AS role, coalesce(d.datname, '') AS database,
       split_part(c.entry, '=', 1) AS name,
       substr(c.entry, strpos(c.entry, '=') + 1) AS value
FROM pg_catalog.pg_db_role_setting AS s
LEFT JOIN pg_catalog.pg_roles AS r ON r.oid = s.setrole
LEFT JOIN pg_catalog.pg_database AS d ON d.oid = s.setdatabase
CROSS JOIN LATERAL unnest(s.setconfig) AS c (entry)
WHERE (s.setrole = 0 OR r.rolname = ANY (%(roles)s))
  AND (s.setdatabase = 0 OR s.setrole <> 0 OR d.datname = ANY (%(databases)s))
