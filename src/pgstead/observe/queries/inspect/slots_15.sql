-- Replication slots, and the WAL that each keeps.
SELECT slot_name::text AS slot_name, slot_type, active, wal_status,
       coalesce(database, '')::text AS datname,
       pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn()
                            ELSE pg_current_wal_lsn() END, restart_lsn)::float8 AS retained,
       safe_wal_size::float8 AS safe
FROM pg_replication_slots ORDER BY retained DESC NULLS LAST
