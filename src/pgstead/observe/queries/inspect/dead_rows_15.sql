-- Tables by the share of rows that are dead, and when vacuum was there.
SELECT s.schemaname::text AS schemaname, s.relname::text AS relname,
       s.n_live_tup::float8 AS live, s.n_dead_tup::float8 AS dead,
       pg_table_size(c.oid)::float8 AS bytes,
       greatest(s.last_vacuum, s.last_autovacuum) AS vacuumed,
       greatest(s.last_analyze, s.last_autoanalyze) AS analyzed,
       s.n_mod_since_analyze::float8 AS changed,
       coalesce('autovacuum_enabled=false' = ANY(c.reloptions)
                OR 'autovacuum_enabled=off' = ANY(c.reloptions), false) AS autovacuum_off,
       age(c.relfrozenxid)::float8 AS frozen_age,
       current_setting('autovacuum_freeze_max_age')::float8 AS freeze_max_age,
       current_setting('autovacuum_vacuum_scale_factor')::float8 AS scale_factor,
       current_setting('autovacuum_vacuum_threshold')::float8 AS threshold
FROM pg_stat_user_tables AS s JOIN pg_class AS c ON c.oid = s.relid
WHERE c.relkind IN ('r', 'm')
ORDER BY s.n_dead_tup DESC, c.oid LIMIT 1000
