-- What was set beside the included file: ALTER SYSTEM, or a line of postgresql.conf after the
-- include. Read from the files, so that an edit that was not loaded yet is seen too.
-- https://www.postgresql.org/docs/current/view-pg-file-settings.html
WITH ours AS (
    SELECT max(seqno) AS seqno
    FROM pg_catalog.pg_file_settings
    WHERE sourcefile = %(ours)s
)
SELECT f.name,
       coalesce(f.setting, '') AS value,
       CASE WHEN f.sourcefile LIKE '%%/postgresql.auto.conf' THEN 'ALTER SYSTEM'
            ELSE 'postgresql.conf:' || f.sourceline END AS origin
FROM pg_catalog.pg_file_settings AS f, ours
WHERE f.sourcefile <> %(ours)s
  AND f.seqno > coalesce(ours.seqno, 0)
  AND f.name IS NOT NULL
ORDER BY f.seqno
