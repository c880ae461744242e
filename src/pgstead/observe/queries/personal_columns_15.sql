-- Per column of the applications' tables: what it is, and what its comment says of it.
SELECT n.nspname AS schema, c.relname AS name,
       pg_catalog.obj_description(c.oid, 'pg_class') AS table_comment,
       a.attname AS "column", pg_catalog.format_type(a.atttypid, a.atttypmod) AS type,
       pg_catalog.col_description(c.oid, a.attnum) AS comment,
       NOT a.attnotnull AS nullable, a.attgenerated <> '' AS generated,
       coalesce(pg_catalog.pg_get_expr(d.adbin, d.adrelid), '') AS "default",
       EXISTS (SELECT FROM pg_catalog.pg_index AS i WHERE i.indrelid = c.oid AND i.indisprimary
               AND a.attnum = ANY (i.indkey::int2[])) AS key,
       EXISTS (SELECT FROM pg_catalog.pg_index AS i WHERE i.indrelid = c.oid AND i.indisunique
               AND a.attnum = ANY (i.indkey::int2[])) AS "unique"
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_catalog.pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition
  AND n.nspname <> 'information_schema' AND n.nspname !~ '^(pg_|pgstead(_|$))'
  AND c.relname <> 'alembic_version'
ORDER BY n.nspname, c.relname, a.attnum
