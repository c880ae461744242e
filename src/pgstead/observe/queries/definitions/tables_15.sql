-- Tables, views, materialized views, sequences and foreign tables; their own properties only.
SELECT CASE c.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'table' WHEN 'v' THEN 'view'
                      WHEN 'm' THEN 'materialized view' WHEN 'S' THEN 'sequence'
                      ELSE 'foreign table' END AS kind,
       quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS name,
       jsonb_strip_nulls(jsonb_build_object(
         'owner', r.rolname,
         'persistence', CASE c.relpersistence WHEN 'u' THEN 'unlogged' END,
         'partitioned by', CASE WHEN c.relkind = 'p' THEN pg_get_partkeydef(c.oid) END,
         'partition', CASE WHEN c.relispartition THEN pg_get_expr(c.relpartbound, c.oid) END,
         'parents', (SELECT string_agg(i.inhparent::regclass::text, ', ' ORDER BY i.inhseqno)
                     FROM pg_catalog.pg_inherits AS i WHERE i.inhrelid = c.oid),
         'options', (SELECT string_agg(o, ', ' ORDER BY o) FROM unnest(c.reloptions) AS o),
         'replica identity', CASE WHEN c.relkind IN ('r', 'p')
           THEN CASE c.relreplident WHEN 'n' THEN 'nothing' WHEN 'f' THEN 'full' WHEN 'i' THEN 'index' END END,
         'text', CASE WHEN c.relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) END,
         'populated', CASE WHEN c.relkind = 'm' THEN c.relispopulated END,
         'sequence', (SELECT format_type(s.seqtypid, NULL) || ' from ' || s.seqstart || ' by ' || s.seqincrement
                        || ' in ' || s.seqmin || '..' || s.seqmax || ' cache ' || s.seqcache
                        || CASE WHEN s.seqcycle THEN ' cycle' ELSE '' END
                      FROM pg_catalog.pg_sequence AS s WHERE s.seqrelid = c.oid),
         'owned by', CASE WHEN c.relkind = 'S' THEN (
           SELECT d.refobjid::regclass || '.' || quote_ident(a.attname)
           FROM pg_catalog.pg_depend AS d
           JOIN pg_catalog.pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
           WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('a', 'i')) END
       )) AS facets
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_roles AS r ON r.oid = c.relowner
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
  AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d
                  WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
