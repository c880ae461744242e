-- Functions and procedures; aggregates by their signature (pg_get_functiondef refuses them).
SELECT CASE p.prokind WHEN 'p' THEN 'procedure' WHEN 'a' THEN 'aggregate' ELSE 'function' END AS kind,
       quote_ident(n.nspname) || '.' || quote_ident(p.proname)
         || '(' || pg_get_function_identity_arguments(p.oid) || ')' AS name,
       jsonb_strip_nulls(jsonb_build_object(
         'owner', r.rolname,
         'security definer', CASE WHEN p.prosecdef THEN true END,
         'leakproof', CASE WHEN p.proleakproof THEN true END,
         'volatility', CASE p.provolatile WHEN 'i' THEN 'immutable' WHEN 's' THEN 'stable' ELSE 'volatile' END,
         'settings', (SELECT string_agg(s, ', ' ORDER BY s) FROM unnest(p.proconfig) AS s),
         'definition', CASE WHEN p.prokind <> 'a' THEN pg_get_functiondef(p.oid) END
       )) AS facets
FROM pg_catalog.pg_proc AS p
JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
JOIN pg_catalog.pg_roles AS r ON r.oid = p.proowner
WHERE n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d
                  WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
