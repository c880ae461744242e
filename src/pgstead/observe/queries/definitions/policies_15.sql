-- Row-level security: the switches of each table, and the policies.
SELECT 'row security' AS kind, quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS name,
       jsonb_build_object('enabled', c.relrowsecurity, 'forced', c.relforcerowsecurity) AS facets
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
UNION ALL
SELECT 'policy', quote_ident(n.nspname) || '.' || quote_ident(c.relname) || '.' || quote_ident(p.polname),
       jsonb_strip_nulls(jsonb_build_object(
         'command', CASE p.polcmd WHEN 'r' THEN 'select' WHEN 'a' THEN 'insert' WHEN 'w' THEN 'update'
                                  WHEN 'd' THEN 'delete' ELSE 'all' END,
         'permissive', p.polpermissive,
         -- in an aggregate `ORDER BY 1` is the constant 1, and no order at all
         'roles', (SELECT string_agg(r.name, ', ' ORDER BY r.name COLLATE "C")
                   FROM (SELECT CASE o WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(o)::text END AS name
                         FROM unnest(p.polroles) AS o) AS r),
         'using', pg_get_expr(p.polqual, p.polrelid),
         'check', pg_get_expr(p.polwithcheck, p.polrelid)))
FROM pg_catalog.pg_policy AS p
JOIN pg_catalog.pg_class AS c ON c.oid = p.polrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
