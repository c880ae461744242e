-- Who may do what, with what was never said filled in: an ACL that is NULL means the default.
SELECT 'grants' AS kind, o.kind || ' ' || o.name AS name, jsonb_object_agg(o.grantee, o.privileges) AS facets
FROM (
  SELECT l.kind, l.name, CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee)::text END AS grantee,
         string_agg(a.privilege_type || CASE WHEN a.is_grantable THEN '*' ELSE '' END, ', '
                    ORDER BY a.privilege_type) AS privileges
  FROM (
    SELECT 'schema' AS kind, quote_ident(n.nspname) AS name, n.oid, 'pg_namespace'::regclass AS class,
           coalesce(n.nspacl, acldefault('n', n.nspowner)) AS acl, n.nspname AS schema
    FROM pg_catalog.pg_namespace AS n
    UNION ALL
    SELECT CASE c.relkind WHEN 'S' THEN 'sequence' ELSE 'table' END,
           quote_ident(n.nspname) || '.' || quote_ident(c.relname), c.oid, 'pg_class'::regclass,
           coalesce(c.relacl, acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", c.relowner)), n.nspname
    FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
    UNION ALL
    SELECT 'column', quote_ident(n.nspname) || '.' || quote_ident(c.relname) || '.' || quote_ident(a.attname),
           c.oid, 'pg_class'::regclass, a.attacl, n.nspname
    FROM pg_catalog.pg_attribute AS a JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE a.attacl IS NOT NULL AND NOT a.attisdropped
    UNION ALL
    SELECT 'function', quote_ident(n.nspname) || '.' || quote_ident(p.proname)
             || '(' || pg_get_function_identity_arguments(p.oid) || ')',
           p.oid, 'pg_proc'::regclass, coalesce(p.proacl, acldefault('f', p.proowner)), n.nspname
    FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
    UNION ALL
    SELECT 'type', quote_ident(n.nspname) || '.' || quote_ident(t.typname), t.oid, 'pg_type'::regclass,
           coalesce(t.typacl, acldefault('T', t.typowner)), n.nspname
    FROM pg_catalog.pg_type AS t JOIN pg_catalog.pg_namespace AS n ON n.oid = t.typnamespace
    WHERE t.typtype IN ('e', 'd', 'r')
  ) AS l
  CROSS JOIN LATERAL aclexplode(l.acl) AS a
  WHERE l.schema <> 'information_schema' AND l.schema !~ '^pg_'
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d
                    WHERE d.classid = l.class AND d.objid = l.oid AND d.deptype = 'e')
  GROUP BY 1, 2, 3
) AS o
GROUP BY o.kind, o.name
UNION ALL
SELECT 'grants', 'default of ' || pg_get_userbyid(d.defaclrole)
         || coalesce(' in ' || quote_ident(n.nspname), '')
         || CASE d.defaclobjtype WHEN 'r' THEN ' for tables' WHEN 'S' THEN ' for sequences' WHEN 'f' THEN ' for functions'
                                 WHEN 'T' THEN ' for types' WHEN 'n' THEN ' for schemas' ELSE ' for large objects' END,
       (SELECT coalesce(jsonb_object_agg(g.grantee, g.privileges), '{}') FROM (
          SELECT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee)::text END AS grantee,
                 string_agg(a.privilege_type || CASE WHEN a.is_grantable THEN '*' ELSE '' END, ', '
                            ORDER BY a.privilege_type) AS privileges
          FROM aclexplode(d.defaclacl) AS a GROUP BY 1) AS g)
FROM pg_catalog.pg_default_acl AS d
LEFT JOIN pg_catalog.pg_namespace AS n ON n.oid = d.defaclnamespace
