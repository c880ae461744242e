-- Free space of the largest tables, by the extension pgstattuple (pages that are not all visible
-- are read, of the others the free space map tells: an estimate).
SELECT n.nspname::text AS schemaname, c.relname::text AS relname,
       p.table_len::float8 AS bytes,
       (p.approx_free_percent + p.dead_tuple_percent) / 100 AS free_ratio,
       p.approx_free_space::float8 + p.dead_tuple_len::float8 AS free_bytes
FROM (SELECT oid, relname, relnamespace FROM pg_class
      WHERE relkind = 'r' AND relpages BETWEEN 128 AND 131072
        AND relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
      ORDER BY relpages DESC, oid LIMIT 20) AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
CROSS JOIN LATERAL pgstattuple_approx(c.oid) AS p
