-- Indexes, those of constraints too: one of these may be invalid as well.
SELECT 'index' AS kind, quote_ident(n.nspname) || '.' || quote_ident(i.relname) AS name,
       jsonb_build_object('definition', pg_get_indexdef(x.indexrelid),
                          'valid', x.indisvalid AND x.indisready AND x.indislive,
                          'clustered', x.indisclustered, 'replica identity', x.indisreplident) AS facets
FROM pg_catalog.pg_index AS x
JOIN pg_catalog.pg_class AS i ON i.oid = x.indexrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = i.relnamespace
WHERE n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS e
                  WHERE e.classid = 'pg_class'::regclass AND e.objid = x.indrelid AND e.deptype = 'e')
UNION ALL
SELECT 'statistics', quote_ident(n.nspname) || '.' || quote_ident(s.stxname),
       jsonb_build_object('definition', pg_get_statisticsobjdef(s.oid))
FROM pg_catalog.pg_statistic_ext AS s
JOIN pg_catalog.pg_namespace AS n ON n.oid = s.stxnamespace
