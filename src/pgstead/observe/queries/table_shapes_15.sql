-- Per column: may it be written, is it of the primary key.
SELECT n.nspname AS schema, c.relname AS name, a.attname AS "column",
       a.attgenerated = '' AND a.attidentity <> 'a' AS writable,
       coalesce(a.attnum = ANY (i.indkey::int2[]), false) AS key
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_catalog.pg_index AS i ON i.indrelid = c.oid AND i.indisprimary
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast', 'pgstead_migrations')
  AND n.nspname NOT LIKE 'pg\_temp%%'
  AND c.relname <> 'alembic_version'
ORDER BY n.nspname, c.relname, a.attnum
