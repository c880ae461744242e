-- The running values. `setting` is in the setting's base unit. Besides what is wanted: what
-- still comes from our file, though the design names it no longer. A setting that only a restart
-- takes back keeps its line here (pending_restart), although the file lost it.
-- https://www.postgresql.org/docs/current/view-pg-settings.html
SELECT name, setting, unit, context
FROM pg_catalog.pg_settings
WHERE name = ANY (%(names)s)
   OR (sourcefile = %(ours)s AND name <> ALL (%(unshown)s))
