-- Enums with their labels in order, domains, ranges. Composite types show by their columns.
SELECT CASE t.typtype WHEN 'e' THEN 'enum' WHEN 'd' THEN 'domain' ELSE 'range' END AS kind,
       quote_ident(n.nspname) || '.' || quote_ident(t.typname) AS name,
       jsonb_strip_nulls(jsonb_build_object(
         'owner', r.rolname,
         'labels', (SELECT string_agg(quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder)
                    FROM pg_catalog.pg_enum AS e WHERE e.enumtypid = t.oid),
         'base type', CASE WHEN t.typtype = 'd' THEN format_type(t.typbasetype, t.typtypmod) END,
         'not null', CASE WHEN t.typnotnull THEN true END,
         'default', t.typdefault,
         'checks', (SELECT string_agg(k.conname || ' ' || pg_get_constraintdef(k.oid), ', ' ORDER BY k.conname)
                    FROM pg_catalog.pg_constraint AS k WHERE k.contypid = t.oid AND k.contype = 'c'),
         'subtype', (SELECT format_type(g.rngsubtype, NULL) FROM pg_catalog.pg_range AS g WHERE g.rngtypid = t.oid)
       )) AS facets
FROM pg_catalog.pg_type AS t
JOIN pg_catalog.pg_namespace AS n ON n.oid = t.typnamespace
JOIN pg_catalog.pg_roles AS r ON r.oid = t.typowner
WHERE t.typtype IN ('e', 'd', 'r') AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS e
                  WHERE e.classid = 'pg_type'::regclass AND e.objid = t.oid AND e.deptype = 'e')
