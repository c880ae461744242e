-- What freezing goes by, and which extensions are here.
SELECT current_setting('autovacuum_freeze_max_age')::float8 AS freeze_max,
       current_setting('autovacuum_multixact_freeze_max_age')::float8 AS mxid_freeze_max,
       (SELECT coalesce(json_object_agg(e.extname, n.nspname), '{}')
        FROM pg_extension AS e JOIN pg_namespace AS n ON n.oid = e.extnamespace) AS extensions
