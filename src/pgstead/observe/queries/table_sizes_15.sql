SELECT CASE n.nspname WHEN 'public' THEN c.relname ELSE n.nspname || '.' || c.relname END AS name,
       -- -1: never analyzed; then a row is taken for 100 bytes, rather too small than too large
       CASE WHEN c.reltuples >= 0 THEN c.reltuples::bigint
            ELSE pg_catalog.pg_relation_size(c.oid) / 100 END AS rows,
       pg_catalog.pg_total_relation_size(c.oid) AS bytes
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
UNION ALL
-- a partitioned table is as large as what hangs below it
SELECT CASE n.nspname WHEN 'public' THEN c.relname ELSE n.nspname || '.' || c.relname END,
       coalesce(sum(CASE WHEN l.reltuples >= 0 THEN l.reltuples::bigint
                         ELSE pg_catalog.pg_relation_size(l.oid) / 100 END), 0)::bigint,
       coalesce(sum(pg_catalog.pg_total_relation_size(l.oid)), 0)::bigint
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
CROSS JOIN LATERAL pg_catalog.pg_partition_tree(c.oid) AS t
JOIN pg_catalog.pg_class AS l ON l.oid = t.relid AND t.isleaf
WHERE c.relkind = 'p'
GROUP BY 1
