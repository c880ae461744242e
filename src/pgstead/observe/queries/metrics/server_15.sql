-- scope: cluster
-- cadence: fast
-- gauge pg_postmaster_start_time_seconds s: When the server was started (Unix time).
-- gauge pg_shmem_init_time_seconds s: When its shared memory was made: later than the start after a crash.
-- gauge pg_conf_load_time_seconds s: When its configuration was read last.
-- gauge pg_in_recovery 1: 1 on a standby, and while a crash is recovered.
-- gauge pg_server_version_num 1: Its version, as 180006.
-- gauge pg_settings_pending_restart_count {setting}: Settings that wait for a restart.
SELECT extract(epoch FROM pg_postmaster_start_time())::float8 AS pg_postmaster_start_time_seconds,
       (SELECT extract(epoch FROM min(backend_start))::float8 FROM pg_stat_activity
        WHERE backend_type = 'checkpointer') AS pg_shmem_init_time_seconds,
       extract(epoch FROM pg_conf_load_time())::float8 AS pg_conf_load_time_seconds,
       pg_is_in_recovery()::int AS pg_in_recovery,
       current_setting('server_version_num')::int AS pg_server_version_num,
       (SELECT count(*) FROM pg_settings WHERE pending_restart)
           AS pg_settings_pending_restart_count
