-- scope: cluster
-- cadence: fast
-- attributes: slot_name, slot_type, wal_status
-- most: 50
-- gauge pg_replication_slots_inactive 1: 1: nobody uses it.
-- gauge pg_replication_slots_retained_bytes By: WAL that is kept for it.
-- gauge pg_replication_slots_safe_wal_size_bytes By: WAL that may be written until it loses some.
-- unknown pg_replication_slots_retained_bytes: it was never used
-- unknown pg_replication_slots_safe_wal_size_bytes: it is lost, or nothing bounds it
SELECT slot_name::text, slot_type, coalesce(wal_status, 'none') AS wal_status,
       (NOT active)::int AS pg_replication_slots_inactive,
       (lsn - restart_lsn)::float8 AS pg_replication_slots_retained_bytes,
       safe_wal_size AS pg_replication_slots_safe_wal_size_bytes
FROM pg_replication_slots,
     (SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()
                  ELSE pg_current_wal_lsn() END) AS now (lsn)
WHERE NOT temporary
ORDER BY 5 DESC NULLS LAST LIMIT 50
