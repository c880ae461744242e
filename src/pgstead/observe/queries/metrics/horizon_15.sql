-- scope: cluster
-- cadence: fast
-- needs: pg_read_all_stats
-- attributes: source
-- most: 5
-- gauge pg_oldest_xmin_age {transaction}: How far back vacuum has to leave rows alone, and for whom.
SELECT source, max(age) AS pg_oldest_xmin_age
FROM (SELECT 'session' AS source, age(backend_xmin) AS age FROM pg_stat_activity
      WHERE backend_xmin IS NOT NULL AND pid <> pg_backend_pid()
      UNION ALL SELECT 'prepared', age(transaction) FROM pg_prepared_xacts
      UNION ALL SELECT 'slot', age(xmin) FROM pg_replication_slots WHERE xmin IS NOT NULL
      UNION ALL SELECT 'slot_catalog', age(catalog_xmin) FROM pg_replication_slots
      WHERE catalog_xmin IS NOT NULL
      UNION ALL SELECT 'standby', age(backend_xmin) FROM pg_stat_replication
      WHERE backend_xmin IS NOT NULL) AS holders
GROUP BY source
