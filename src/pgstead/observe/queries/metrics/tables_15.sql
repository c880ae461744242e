-- scope: database
-- cadence: slow
-- attributes: schemaname, relname
-- most: 30
-- counter pg_stat_user_tables_seq_scan_total {scan}: Sequential scans.
-- counter pg_stat_user_tables_seq_tup_read_total {row}: Rows read by them.
-- counter pg_stat_user_tables_idx_scan_total {scan}: Index scans.
-- counter pg_stat_user_tables_n_tup_ins_total {row}: Rows inserted.
-- counter pg_stat_user_tables_n_tup_upd_total {row}: Rows updated.
-- counter pg_stat_user_tables_n_tup_del_total {row}: Rows deleted.
-- counter pg_stat_user_tables_n_tup_hot_upd_total {row}: Rows updated without touching an index.
-- gauge pg_stat_user_tables_n_live_tup {row}: Rows, estimated.
-- gauge pg_stat_user_tables_n_dead_tup {row}: Dead rows, estimated.
-- gauge pg_stat_user_tables_n_mod_since_analyze {row}: Rows changed since the last ANALYZE.
-- gauge pg_stat_user_tables_last_autovacuum_time_seconds s: When autovacuum was there last (Unix time).
-- gauge pg_table_frozenxid_age {transaction}: Transactions since its oldest row that is not frozen.
-- gauge pg_table_size_bytes By: Size with indexes and TOAST.
-- unknown pg_stat_user_tables_last_autovacuum_time_seconds: autovacuum was never there
-- absent pg_stat_user_tables_idx_scan_total
-- the thirty largest: a series per table has to stay bounded
SELECT t.schemaname::text, t.relname::text,
       t.seq_scan AS pg_stat_user_tables_seq_scan_total,
       t.seq_tup_read AS pg_stat_user_tables_seq_tup_read_total,
       t.idx_scan AS pg_stat_user_tables_idx_scan_total,
       t.n_tup_ins AS pg_stat_user_tables_n_tup_ins_total,
       t.n_tup_upd AS pg_stat_user_tables_n_tup_upd_total,
       t.n_tup_del AS pg_stat_user_tables_n_tup_del_total,
       t.n_tup_hot_upd AS pg_stat_user_tables_n_tup_hot_upd_total,
       t.n_live_tup AS pg_stat_user_tables_n_live_tup,
       t.n_dead_tup AS pg_stat_user_tables_n_dead_tup,
       t.n_mod_since_analyze AS pg_stat_user_tables_n_mod_since_analyze,
       extract(epoch FROM t.last_autovacuum)::float8
           AS pg_stat_user_tables_last_autovacuum_time_seconds,
       age(c.relfrozenxid) AS pg_table_frozenxid_age,
       pg_total_relation_size(c.oid) AS pg_table_size_bytes
FROM pg_class AS c JOIN pg_stat_user_tables AS t ON t.relid = c.oid
WHERE c.relkind = 'r'
ORDER BY c.relpages DESC, c.oid LIMIT 30
