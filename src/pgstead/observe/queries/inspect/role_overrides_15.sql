-- Settings of roles and databases that take a protection away.
SELECT coalesce(d.datname, '')::text AS datname, coalesce(r.rolname, '')::text AS rolname,
       split_part(c.entry, '=', 1) AS name, substr(c.entry, strpos(c.entry, '=') + 1) AS setting
FROM pg_db_role_setting AS s
LEFT JOIN pg_database AS d ON d.oid = s.setdatabase
LEFT JOIN pg_roles AS r ON r.oid = s.setrole
CROSS JOIN unnest(s.setconfig) AS c (entry)
ORDER BY 1, 2, 3
