-- All indexes of users: size, use, and what they are for.
SELECT n.nspname::text AS schemaname, t.relname::text AS relname, c.relname::text AS indexname,
       pg_relation_size(c.oid)::float8 AS bytes, s.idx_scan::float8 AS scans,
       s.last_idx_scan AS last_scan,
       (i.indisunique OR i.indisexclusion OR i.indisreplident
        OR EXISTS (SELECT FROM pg_constraint AS k WHERE k.conindid = c.oid)) AS needed,
       i.indisvalid AND i.indisready AS valid,
       EXISTS (SELECT FROM pg_stat_progress_create_index AS p WHERE p.index_relid = c.oid)
           AS building,
       pg_get_indexdef(c.oid) AS definition,
       coalesce((SELECT stats_reset FROM pg_stat_database WHERE datname = current_database()),
                pg_postmaster_start_time()) AS counted_since
FROM pg_index AS i
JOIN pg_class AS c ON c.oid = i.indexrelid
JOIN pg_class AS t ON t.oid = i.indrelid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_stat_all_indexes AS s ON s.indexrelid = c.oid
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') AND c.relkind = 'i'
ORDER BY pg_relation_size(c.oid) DESC, c.oid LIMIT 2000
