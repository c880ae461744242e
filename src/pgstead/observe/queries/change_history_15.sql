-- The tables that a change history may be kept of, with what its trigger should be told and is.
SELECT n.nspname AS schema, c.relname AS table,
       coalesce(k.columns, '{}') AS key,
       coalesce(s.columns, '{}') AS columns,
       coalesce(s.secret, '{}') AS secret,
       -- rows of partitions may be written past their table: only row triggers follow them there
       c.relkind = 'r' AND k.columns IS NOT NULL AS by_statement,
       coalesce(t.triggers, '{}') AS triggers
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN LATERAL (
    -- what fires always is 'A', also where session_replication_role is replica
    SELECT array_agg(g.tgname || ' ' || p.proname || ' ' || g.tgenabled::text || ' '
                     || encode(g.tgargs, 'hex') ORDER BY g.tgname) AS triggers
    FROM pg_catalog.pg_trigger AS g JOIN pg_catalog.pg_proc AS p ON p.oid = g.tgfoid
    WHERE g.tgrelid = c.oid AND g.tgname ~ '^pgstead_audit_' AND NOT g.tgisinternal
) AS t ON true
LEFT JOIN LATERAL (
    SELECT array_agg(a.attname::text ORDER BY a.attnum) AS columns
    FROM pg_catalog.pg_index AS i
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey)
    WHERE i.indrelid = c.oid AND i.indisprimary
) AS k ON true
LEFT JOIN LATERAL (
    SELECT array_agg(a.attname::text ORDER BY a.attnum) AS columns,
           -- encrypted values are bytea; the rest goes by its name
           array_agg(a.attname::text ORDER BY a.attnum) FILTER (
               WHERE a.atttypid = 'bytea'::regtype
                  OR a.attname ~* '(passw|secret|token|hash|encrypted|api_key|private|backup_code|salt)'
           ) AS secret
    FROM pg_catalog.pg_attribute AS a
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
) AS s ON true
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence = 'p'
  AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
  AND n.nspname NOT IN ('pgstead', 'pgstead_audit', 'pgstead_migrations')
  AND c.relname <> 'alembic_version'
ORDER BY 1, 2
