-- scope: cluster
-- cadence: fast
-- counter pg_stat_archiver_archived_total {segment}: WAL segments archived by the server.
-- counter pg_stat_archiver_failed_total {attempt}: Attempts to archive that failed.
-- gauge pg_stat_archiver_failing 1: 1: the last attempt failed.
-- gauge pg_archiver_ready_files {file}: Files that wait for their archiving.
-- gauge pg_archiver_oldest_ready_seconds s: How long the oldest has waited; 0 without one.
-- no row where archive_mode is off: the directory is looked at by pg_monitor, and costs a scan
SELECT archived_count AS pg_stat_archiver_archived_total,
       failed_count AS pg_stat_archiver_failed_total,
       (coalesce(last_failed_time, '-infinity') > coalesce(last_archived_time, '-infinity'))::int
           AS pg_stat_archiver_failing,
       ready AS pg_archiver_ready_files, oldest AS pg_archiver_oldest_ready_seconds
FROM pg_stat_archiver,
     (SELECT count(*) AS ready,
             coalesce(extract(epoch FROM now() - min(modification)), 0)::float8 AS oldest
      FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready') AS r
WHERE current_setting('archive_mode') <> 'off'
