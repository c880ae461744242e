SELECT n.nspname AS schema, c.relname AS "table", a.attname AS "column",
       a.atttypid = 'bytea'::regtype AS "binary"
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relkind = 'r' AND c.relpersistence = 'p'
  AND NOT starts_with(n.nspname::text, 'pg_') AND n.nspname <> 'information_schema'
  AND a.atttypid IN ('text'::regtype, 'varchar'::regtype, 'bytea'::regtype)
ORDER BY 1, 2, 3
