-- The texts of some statements of this database.
SELECT DISTINCT ON (queryid) queryid::text AS queryid, left(query, 4000) AS query
FROM pg_stat_statements
WHERE queryid = ANY (%s) AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
