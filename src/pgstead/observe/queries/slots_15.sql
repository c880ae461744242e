-- https://www.postgresql.org/docs/current/view-pg-replication-slots.html
SELECT s.slot_name::text AS name,
       s.slot_type AS slot_type,
       coalesce(s.wal_status = 'lost', false) AS lost
FROM pg_catalog.pg_replication_slots AS s
WHERE s.slot_name = ANY (%(names)s) OR starts_with(s.slot_name::text, %(ours)s)
ORDER BY s.slot_name
