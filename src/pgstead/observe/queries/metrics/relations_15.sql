-- scope: database
-- cadence: slow
-- needs: pg_read_all_stats
-- gauge pg_indexes_invalid {index}: Indexes that are not valid, and that nobody builds now.
-- gauge pg_indexes_size_bytes By: Size of all indexes of users.
-- gauge pg_tables_unlogged {table}: Tables that a crash empties.
-- gauge pg_constraints_not_validated {constraint}: Constraints that old rows may violate.
SELECT (SELECT count(*) FROM pg_index AS i
        WHERE NOT (i.indisvalid AND i.indisready)
          AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index AS p
                          WHERE p.index_relid = i.indexrelid)) AS pg_indexes_invalid,
       (SELECT coalesce(sum(pg_relation_size(indexrelid)), 0)::float8 FROM pg_stat_user_indexes)
           AS pg_indexes_size_bytes,
       (SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relpersistence = 'u')
           AS pg_tables_unlogged,
       (SELECT count(*) FROM pg_constraint WHERE NOT convalidated) AS pg_constraints_not_validated
