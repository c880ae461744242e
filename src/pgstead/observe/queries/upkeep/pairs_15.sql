-- Columns that are indexed together without statistics of how they depend on each other.
SELECT n.nspname::text AS schema, t.relname::text AS table,
       array_agg(DISTINCT a.attname::text ORDER BY a.attname::text) AS columns,
       t.reltuples::float8 AS rows, t.relpages::float8 AS pages
FROM pg_index AS i
JOIN pg_class AS t ON t.oid = i.indrelid AND t.relkind IN ('r', 'm')
JOIN pg_namespace AS n ON n.oid = t.relnamespace
JOIN pg_attribute AS a ON a.attrelid = t.oid AND a.attnum = ANY (i.indkey::int2[]) AND a.attnum > 0
WHERE i.indisvalid AND NOT i.indisunique AND i.indnkeyatts = 2 AND i.indnatts = 2
  AND 0 <> ALL (i.indkey::int2[]) AND t.reltuples >= 10000
  AND n.nspname !~ '^(pg_|information_schema)'
  AND NOT EXISTS (SELECT FROM pg_statistic_ext AS e WHERE e.stxrelid = t.oid
                  AND i.indkey::int2[] <@ e.stxkeys::int2[])
GROUP BY n.nspname, t.relname, t.reltuples, t.relpages, i.indexrelid
HAVING count(DISTINCT a.attname) = 2
ORDER BY t.reltuples DESC LIMIT 10
