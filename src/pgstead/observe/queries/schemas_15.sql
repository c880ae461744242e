SELECT n.nspname AS name, r.rolname AS owner
FROM pg_catalog.pg_namespace AS n
JOIN pg_catalog.pg_roles AS r ON r.oid = n.nspowner
WHERE n.nspname = ANY (%(names)s)
