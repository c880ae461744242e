-- Foreign keys whose own side has no index: each delete over there reads all of this table.
SELECT n.nspname::text AS schemaname, t.relname::text AS relname, c.conname::text AS conname,
       c.confrelid::regclass::text AS referenced, t.reltuples::float8 AS rows,
       (SELECT array_agg(a.attname::text ORDER BY k.place)
        FROM unnest(c.conkey) WITH ORDINALITY AS k (attnum, place)
        JOIN pg_attribute AS a ON a.attrelid = c.conrelid AND a.attnum = k.attnum) AS columns
FROM pg_constraint AS c
JOIN pg_class AS t ON t.oid = c.conrelid
JOIN pg_namespace AS n ON n.oid = t.relnamespace
WHERE c.contype = 'f' AND c.conparentid = 0 AND t.relkind = 'r'
  AND NOT EXISTS (
      SELECT FROM pg_index AS i
      WHERE i.indrelid = c.conrelid AND i.indisvalid AND i.indpred IS NULL
        AND (i.indkey::int2[])[0:cardinality(c.conkey) - 1] @> c.conkey)
ORDER BY t.reltuples DESC, t.oid LIMIT 100
