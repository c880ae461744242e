-- B-trees whose entries are all of one width: how large they need to be, and are.
-- pg_stats is closed to the monitoring role, so the widths of texts are unknown here.
-- An entry: 4 bytes of pointer, 8 of header, the keys padded to 8; pages are filled to 90 %.
SELECT n.nspname::text AS schemaname, t.relname::text AS relname, c.relname::text AS indexname,
       c.relpages::float8 * current_setting('block_size')::float8 AS bytes,
       c.reltuples::float8 * (12 + 8 * ceil(w.width / 8.0)) / 0.9
           + 2 * current_setting('block_size')::float8 AS needed
FROM pg_index AS i
JOIN pg_class AS c ON c.oid = i.indexrelid
JOIN pg_class AS t ON t.oid = i.indrelid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_am AS m ON m.oid = c.relam
JOIN LATERAL (SELECT sum(greatest(a.attlen, 4)) AS width, bool_and(a.attlen > 0) AS fixed
              FROM pg_attribute AS a WHERE a.attrelid = c.oid) AS w ON w.fixed
WHERE m.amname = 'btree' AND i.indisvalid AND c.reltuples >= 0
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
ORDER BY c.relpages DESC, c.oid LIMIT 1000
