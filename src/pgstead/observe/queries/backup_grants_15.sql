-- What a role may do with functions of the server itself that are the superuser's by default.
SELECT 'pg_catalog.' || p.oid::regprocedure::text AS name,
       array_agg(a.privilege_type::text ORDER BY a.privilege_type) AS privileges
FROM pg_catalog.pg_proc AS p
CROSS JOIN LATERAL aclexplode(p.proacl) AS a
JOIN pg_catalog.pg_roles AS g ON g.oid = a.grantee
WHERE p.pronamespace = 'pg_catalog'::regnamespace AND g.rolname = %(role)s
GROUP BY 1
ORDER BY 1
