-- scope: database
-- cadence: slow
-- attributes: schemaname, sequencename
-- most: 20
-- gauge pg_sequence_used_ratio 1: Numbers given out, of those that there are.
-- unknown pg_sequence_used_ratio: the monitoring role may not read it

-- pg_sequences says NULL for what was never used and for what may not be read; those of the
-- ledger of migrations are bigint, and nobody else's business
SELECT n.nspname::text AS schemaname, c.relname::text AS sequencename,
       CASE WHEN has_sequence_privilege(c.oid, 'SELECT, USAGE')
            THEN coalesce(pg_sequence_last_value(c.oid), 0)::float8 / s.seqmax
       END AS pg_sequence_used_ratio
FROM pg_sequence AS s
     JOIN pg_class AS c ON c.oid = s.seqrelid
     JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE NOT s.seqcycle AND s.seqincrement > 0 AND c.relpersistence <> 't'
      AND n.nspname <> 'pgstead_migrations'
ORDER BY 3 DESC NULLS LAST LIMIT 20
