-- Indexes, and how much of the B-trees holds nothing (an estimate: equal keys are stored once
-- since PostgreSQL 13, so that those of many equal keys look better than they are).
-- An entry: 4 bytes of pointer, 8 of header, the keys padded to 8; leaves are filled to 90 %%.
-- Of partitioned indexes each part is one of its own; the index above may be not valid by design.
SELECT n.nspname::text AS schema, x.relname::text AS name, t.relname::text AS table,
       o.rolname::text AS owner, pg_relation_size(x.oid)::float8 AS bytes,
       x.oid AS number, m.amname::text AS method,
       i.indisvalid AND i.indisready AND i.indislive AS valid,
       n.nspname = 'pg_catalog' AS catalog,
       EXISTS (SELECT FROM pg_stat_progress_create_index AS p
               WHERE p.datid = (SELECT oid FROM pg_database WHERE datname = current_database())
                 AND p.relid = t.oid) AS building,
       CASE WHEN m.amname = 'btree' AND x.reltuples > 0 AND w.known THEN
           greatest(0, x.relpages::float8 * b.size - 2 * b.size
               - x.reltuples * (12 + 8 * ceil(w.width / 8.0)) * 100 / f.filled
                   * (b.size / (b.size - 40)))
       END AS wasted,
       coalesce((SELECT has_schema_privilege(r.oid, n.oid, 'USAGE')
                 FROM pg_roles AS r WHERE r.rolname = %(role)s), true) AS usable,
       pg_tablespace_location(x.reltablespace) AS place
FROM pg_index AS i
JOIN pg_class AS x ON x.oid = i.indexrelid AND x.relkind = 'i'
JOIN pg_class AS t ON t.oid = i.indrelid
JOIN pg_namespace AS n ON n.oid = x.relnamespace
JOIN pg_roles AS o ON o.oid = t.relowner
JOIN pg_am AS m ON m.oid = x.relam
CROSS JOIN (SELECT current_setting('block_size')::float8 AS size) AS b
CROSS JOIN LATERAL (
    SELECT coalesce(max(option_value::float8), 90) AS filled
    FROM pg_options_to_table(x.reloptions) WHERE option_name = 'fillfactor') AS f
LEFT JOIN LATERAL (
    SELECT sum(coalesce(p.stawidth * (1 - p.stanullfrac), a.attlen))::float8 AS width,
           bool_and(p.starelid IS NOT NULL OR a.attlen > 0) AS known
    FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, place)
    JOIN pg_attribute AS a ON a.attrelid = x.oid AND a.attnum = k.place
    LEFT JOIN pg_statistic AS p
        ON p.starelid = CASE k.attnum WHEN 0 THEN x.oid ELSE t.oid END
       AND p.staattnum = CASE k.attnum WHEN 0 THEN k.place ELSE k.attnum END
       AND NOT p.stainherit) AS w ON true
WHERE t.relpersistence = 'p' AND n.nspname !~ '^pg_(temp_|toast_temp_)'
