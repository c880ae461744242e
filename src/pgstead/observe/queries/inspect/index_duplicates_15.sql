-- Indexes that another one makes superfluous: the same columns in front, in the same manner.
SELECT n.nspname::text AS schemaname, t.relname::text AS relname,
       ca.relname::text AS indexname, cb.relname::text AS covered_by,
       pg_relation_size(ca.oid)::float8 AS bytes, pg_get_indexdef(a.indexrelid) AS definition,
       pg_get_indexdef(b.indexrelid) AS covering
FROM pg_index AS a
JOIN pg_index AS b ON b.indrelid = a.indrelid AND b.indexrelid <> a.indexrelid
JOIN pg_class AS ca ON ca.oid = a.indexrelid
JOIN pg_class AS cb ON cb.oid = b.indexrelid AND cb.relam = ca.relam
JOIN pg_class AS t ON t.oid = a.indrelid
JOIN pg_namespace AS n ON n.oid = ca.relnamespace
JOIN pg_am AS m ON m.oid = ca.relam
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
  AND ca.relkind = 'i' AND cb.relkind = 'i'
  AND NOT ca.relispartition AND NOT cb.relispartition
  AND NOT a.indisunique AND NOT a.indisexclusion AND NOT a.indisreplident
  AND a.indisvalid AND b.indisvalid
  AND a.indexprs IS NULL AND b.indexprs IS NULL
  AND coalesce(pg_get_expr(a.indpred, a.indrelid), '')
      = coalesce(pg_get_expr(b.indpred, b.indrelid), '')
  -- only a B-tree serves its leading columns alone; the others have to be alike
  AND (m.amname = 'btree' OR a.indkey::text = b.indkey::text)
  -- what is included (INCLUDE) stands behind the keys
  AND a.indnatts = a.indnkeyatts AND a.indnkeyatts <= b.indnkeyatts
  AND (b.indkey::text || ' ') LIKE (a.indkey::text || ' %')
  AND (b.indclass::text || ' ') LIKE (a.indclass::text || ' %')
  AND (b.indcollation::text || ' ') LIKE (a.indcollation::text || ' %')
  AND (b.indoption::text || ' ') LIKE (a.indoption::text || ' %')
  AND NOT (a.indkey::text = b.indkey::text AND NOT b.indisunique AND a.indexrelid < b.indexrelid)
ORDER BY pg_relation_size(ca.oid) DESC, ca.oid
