-- Schemas of users, those of temporary objects left out.
SELECT 'schema' AS kind, quote_ident(n.nspname) AS name,
       jsonb_build_object('owner', r.rolname) AS facets
FROM pg_catalog.pg_namespace AS n
JOIN pg_catalog.pg_roles AS r ON r.oid = n.nspowner
WHERE n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
UNION ALL
SELECT 'extension', quote_ident(e.extname),
       jsonb_build_object('version', e.extversion, 'schema', n.nspname)
FROM pg_catalog.pg_extension AS e
JOIN pg_catalog.pg_namespace AS n ON n.oid = e.extnamespace
