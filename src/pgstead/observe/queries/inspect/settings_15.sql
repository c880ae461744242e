-- Settings that are dangerous, that wait for a restart, or that ALTER SYSTEM put past pgstead.
SELECT name, setting, coalesce(unit, '') AS unit, source, pending_restart, boot_val, reset_val,
       coalesce(sourcefile, '') LIKE '%postgresql.auto.conf' AS by_alter_system
FROM pg_settings
WHERE pending_restart OR sourcefile LIKE '%postgresql.auto.conf'
   OR name IN ('fsync', 'full_page_writes', 'autovacuum', 'track_counts', 'track_activities',
               'synchronous_commit', 'zero_damaged_pages', 'ignore_checksum_failure',
               'allow_in_place_tablespaces', 'ignore_system_indexes', 'row_security')
ORDER BY name
