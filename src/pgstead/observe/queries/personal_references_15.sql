-- The foreign keys between the applications' tables, with their columns in pairs.
SELECT k.conname AS name, k.confdeltype::text AS action,
       cn.nspname AS child_schema, c.relname AS child,
       pn.nspname AS parent_schema, p.relname AS parent,
       ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY AS u (num, place)
             JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = u.num
             ORDER BY u.place) AS columns,
       ARRAY(SELECT a.attname::text FROM unnest(k.confkey) WITH ORDINALITY AS u (num, place)
             JOIN pg_catalog.pg_attribute AS a ON a.attrelid = p.oid AND a.attnum = u.num
             ORDER BY u.place) AS parent_columns
FROM pg_catalog.pg_constraint AS k
JOIN pg_catalog.pg_class AS c ON c.oid = k.conrelid
JOIN pg_catalog.pg_namespace AS cn ON cn.oid = c.relnamespace
JOIN pg_catalog.pg_class AS p ON p.oid = k.confrelid
JOIN pg_catalog.pg_namespace AS pn ON pn.oid = p.relnamespace
WHERE k.contype = 'f' AND k.conparentid = 0 AND NOT c.relispartition
  AND cn.nspname !~ '^(pg_|pgstead(_|$))'
ORDER BY cn.nspname, c.relname, k.conname
