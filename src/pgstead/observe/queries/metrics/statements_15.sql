-- scope: database
-- cadence: fast
-- counter pg_stat_statements_calls_total {statement}: Statements that were run.
-- counter pg_stat_statements_exec_seconds_total s: Time that they took.
-- counter pg_stat_statements_rows_total {row}: Rows that they returned or changed.
-- counter pg_stat_statements_dealloc_total {eviction}: Times that rare statements were forgotten; then the sums fall.
-- gauge pg_stat_statements_entries {statement}: Statements that are remembered.
SELECT coalesce(sum(calls), 0)::float8 AS pg_stat_statements_calls_total,
       coalesce(sum(total_exec_time), 0) / 1000 AS pg_stat_statements_exec_seconds_total,
       coalesce(sum(rows), 0)::float8 AS pg_stat_statements_rows_total,
       (SELECT dealloc FROM pg_stat_statements_info) AS pg_stat_statements_dealloc_total,
       count(*) AS pg_stat_statements_entries
FROM pg_stat_statements
WHERE toplevel AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
