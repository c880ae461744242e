-- How old each database's oldest transaction is, against where the server stops.
-- https://www.postgresql.org/docs/current/routine-vacuuming.html#VACUUM-FOR-WRAPAROUND
SELECT datname::text AS datname, age(datfrozenxid)::float8 AS age,
       mxid_age(datminmxid)::float8 AS multixact_age, 2147483647 - 3000000::float8 AS stops_at,
       current_setting('autovacuum_freeze_max_age')::float8 AS freeze_max_age
FROM pg_database WHERE datallowconn ORDER BY age(datfrozenxid) DESC
