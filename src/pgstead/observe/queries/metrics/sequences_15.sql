-- scope: database
-- cadence: slow
-- attributes: schemaname, sequencename
-- most: 20
-- gauge pg_sequence_used_ratio 1: Numbers given out, of those that there are.
-- unknown pg_sequence_used_ratio: the monitoring role may not read it, or it was never used
SELECT schemaname::text, sequencename::text,
       last_value::float8 / max_value AS pg_sequence_used_ratio
FROM pg_sequences WHERE NOT cycle AND increment_by > 0
ORDER BY 3 DESC NULLS LAST LIMIT 20
