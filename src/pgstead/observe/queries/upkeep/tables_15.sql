-- Tables, what their statistics ask for, and how much of them holds nothing (an estimate).
-- A row: 4 bytes of pointer, 24 of header, its columns; pages are filled to their fillfactor.
-- Partitioned tables hold nothing themselves; what is toasted counts with its table.
SELECT n.nspname::text AS schema, c.relname::text AS name, o.rolname::text AS owner,
       pg_table_size(c.oid)::float8 AS bytes, c.reltuples::float8 AS rows,
       coalesce(s.n_live_tup, 0)::float8 AS live, coalesce(s.n_dead_tup, 0)::float8 AS dead,
       coalesce(s.n_mod_since_analyze, 0)::float8 AS changed,
       greatest(s.last_vacuum, s.last_autovacuum) AS vacuumed,
       greatest(s.last_analyze, s.last_autoanalyze) AS analyzed,
       greatest(age(c.relfrozenxid), coalesce(age(t.relfrozenxid), 0))::float8 AS xid_age,
       greatest(mxid_age(c.relminmxid), coalesce(mxid_age(t.relminmxid), 0))::float8 AS mxid_age,
       n.nspname IN ('pg_catalog', 'information_schema') AS catalog,
       c.oid AS number,
       CASE WHEN c.reltuples > 0 AND w.width IS NOT NULL THEN
           greatest(0, c.relpages::float8 * b.size
               - c.reltuples * (28 + 8 * ceil(w.width / 8.0)) * 100 / f.filled
                   * (b.size / (b.size - 24)))
       END AS wasted,
       coalesce((SELECT has_schema_privilege(r.oid, n.oid, 'USAGE')
                 FROM pg_roles AS r WHERE r.rolname = %(role)s), true) AS usable
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_roles AS o ON o.oid = c.relowner
LEFT JOIN pg_stat_all_tables AS s ON s.relid = c.oid
LEFT JOIN pg_class AS t ON t.oid = c.reltoastrelid
CROSS JOIN (SELECT current_setting('block_size')::float8 AS size) AS b
CROSS JOIN LATERAL (
    SELECT coalesce(max(option_value::float8), 100) AS filled
    FROM pg_options_to_table(c.reloptions) WHERE option_name = 'fillfactor') AS f
LEFT JOIN LATERAL (
    SELECT sum(p.stawidth * (1 - p.stanullfrac))::float8 AS width
    FROM pg_statistic AS p WHERE p.starelid = c.oid AND NOT p.stainherit) AS w ON true
WHERE c.relkind IN ('r', 'm') AND c.relpersistence = 'p'
  AND n.nspname !~ '^pg_(toast|temp_|toast_temp_)'
