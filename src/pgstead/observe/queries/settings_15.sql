-- The running values. `setting` is in the setting's base unit.
SELECT name, setting, unit, context, pending_restart
FROM pg_catalog.pg_settings
WHERE name = ANY (%(names)s)
