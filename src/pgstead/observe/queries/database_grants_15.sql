-- The effective privileges: the stored ones, or the built-in default where none are stored.
SELECT d.datname AS name,
       CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE g.rolname END AS grantee,
       array_agg(a.privilege_type || CASE WHEN a.is_grantable THEN '*' ELSE '' END
                 ORDER BY a.privilege_type) AS privileges
FROM pg_catalog.pg_database AS d
CROSS JOIN LATERAL aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) AS a
LEFT JOIN pg_catalog.pg_roles AS g ON g.oid = a.grantee
WHERE d.datname = ANY (%(names)s) AND a.grantee <> d.datdba
GROUP BY 1, 2
