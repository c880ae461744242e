-- The tables that a change history may be kept of, with what its trigger should be told and is.
SELECT n.nspname AS schema, c.relname AS table,
       coalesce(k.columns, '{}') AS key,
       coalesce(s.columns, '{}') AS columns,
       coalesce(s.secret, '{}') AS secret,
       t.tgname IS NOT NULL AS fed,
       coalesce(t.tgenabled = 'A' AND u.tgenabled = 'A', false) AS always,
       coalesce(encode(t.tgargs, 'hex'), '') AS arguments
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_trigger AS t ON t.tgrelid = c.oid AND t.tgname = 'pgstead_audit_change'
LEFT JOIN pg_catalog.pg_trigger AS u ON u.tgrelid = c.oid AND u.tgname = 'pgstead_audit_truncate'
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
