-- scope: cluster
-- cadence: fast
-- counter pg_stat_checkpointer_num_timed_total {checkpoint}: Checkpoints that were due.
-- counter pg_stat_checkpointer_num_requested_total {checkpoint}: Checkpoints for another reason: much WAL, somebody's request.
-- counter pg_stat_checkpointer_write_seconds_total s: Time spent writing in checkpoints.
-- counter pg_stat_checkpointer_sync_seconds_total s: Time spent syncing in checkpoints.
-- counter pg_stat_checkpointer_buffers_written_total {buffer}: Buffers written by checkpoints.
-- gauge pg_last_checkpoint_time_seconds s: When the last checkpoint began (Unix time).
-- counter pg_stat_bgwriter_buffers_clean_total {buffer}: Buffers written by the background writer.
-- counter pg_stat_bgwriter_maxwritten_clean_total {stop}: Its stops because it had written too much.
-- counter pg_stat_bgwriter_buffers_alloc_total {buffer}: Buffers allocated.
SELECT num_timed AS pg_stat_checkpointer_num_timed_total,
       num_requested AS pg_stat_checkpointer_num_requested_total,
       write_time / 1000 AS pg_stat_checkpointer_write_seconds_total,
       sync_time / 1000 AS pg_stat_checkpointer_sync_seconds_total,
       buffers_written AS pg_stat_checkpointer_buffers_written_total,
       (SELECT extract(epoch FROM checkpoint_time)::float8 FROM pg_control_checkpoint())
           AS pg_last_checkpoint_time_seconds,
       b.buffers_clean AS pg_stat_bgwriter_buffers_clean_total,
       b.maxwritten_clean AS pg_stat_bgwriter_maxwritten_clean_total,
       b.buffers_alloc AS pg_stat_bgwriter_buffers_alloc_total
FROM pg_stat_checkpointer, pg_stat_bgwriter AS b
