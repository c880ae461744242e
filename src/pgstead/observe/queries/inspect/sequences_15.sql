-- Sequences that count up: what is given out, of what their column can hold.
SELECT s.schemaname::text AS schemaname, s.sequencename::text AS sequencename,
       s.last_value::float8 AS last_value, d.refobjid::regclass::text AS owner,
       a.attname::text AS attname, coalesce(format_type(a.atttypid, NULL), '') AS column_type,
       least(s.max_value, CASE a.atttypid WHEN 'int2'::regtype THEN 32767
                          WHEN 'int4'::regtype THEN 2147483647
                          ELSE 9223372036854775807 END)::float8 AS ceiling,
       has_sequence_privilege(q.oid, 'SELECT, USAGE') AS readable
FROM pg_sequences AS s
JOIN pg_namespace AS n ON n.nspname = s.schemaname
JOIN pg_class AS q ON q.relnamespace = n.oid AND q.relname = s.sequencename AND q.relkind = 'S'
LEFT JOIN pg_depend AS d ON d.objid = q.oid AND d.classid = 'pg_class'::regclass
     AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0
LEFT JOIN pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
WHERE NOT s.cycle AND s.increment_by > 0
