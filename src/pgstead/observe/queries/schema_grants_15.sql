SELECT n.nspname AS name,
       CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE g.rolname END AS grantee,
       array_agg(a.privilege_type || CASE WHEN a.is_grantable THEN '*' ELSE '' END
                 ORDER BY a.privilege_type) AS privileges
FROM pg_catalog.pg_namespace AS n
CROSS JOIN LATERAL aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) AS a
LEFT JOIN pg_catalog.pg_roles AS g ON g.oid = a.grantee
WHERE n.nspname = ANY (%(names)s) AND a.grantee <> n.nspowner
GROUP BY 1, 2
