-- What others than the owner may do with tables, views, sequences and functions of the managed
-- schemas. Members of extensions are the extension's own business.
SELECT o.object_type, o.schema || '.' || o.name AS name, o.owner,
       CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE g.rolname END AS grantee,
       array_agg(a.privilege_type || CASE WHEN a.is_grantable THEN '*' ELSE '' END
                 ORDER BY a.privilege_type) AS privileges
FROM (
    SELECT CASE c.relkind WHEN 'S' THEN 'sequence' ELSE 'table' END AS object_type,
           n.nspname AS schema, c.relname AS name, c.oid, 'pg_class'::regclass AS class,
           r.rolname AS owner, c.relowner AS owner_id, c.relacl AS acl
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    JOIN pg_catalog.pg_roles AS r ON r.oid = c.relowner
    WHERE n.nspname = ANY (%(schemas)s) AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
    UNION ALL
    SELECT 'function', n.nspname,
           p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')', p.oid, 'pg_proc'::regclass,
           r.rolname, p.proowner, coalesce(p.proacl, acldefault('f', p.proowner))
    FROM pg_catalog.pg_proc AS p
    JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
    JOIN pg_catalog.pg_roles AS r ON r.oid = p.proowner
    WHERE n.nspname = ANY (%(schemas)s)
) AS o
CROSS JOIN LATERAL aclexplode(o.acl) AS a
LEFT JOIN pg_catalog.pg_roles AS g ON g.oid = a.grantee
WHERE a.grantee <> o.owner_id
  AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_depend AS d
    WHERE d.classid = o.class AND d.objid = o.oid AND d.deptype = 'e'
  )
GROUP BY 1, 2, 3, 4
