"""How fast rows are changed: batches sized by time, and pauses while others have it hard."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

import psycopg

from pgstead.app.staged.stages import rows

_log = logging.getLogger("alembic.pgstead")

_FIRST = 500  # rows, before anything was measured
_TELL_AGAIN = 10.0  # seconds between two words about one pause

# What of the pg_stat views others' sessions show is for members of pg_read_all_stats only, which
# the migrator's login is. replay_lag is null when a standby has nothing to catch up with, and
# stale when it does not answer; the distance in bytes grows then
# (https://www.postgresql.org/docs/current/monitoring-stats.html#MONITORING-PG-STAT-REPLICATION-VIEW).
_LOOK = """
    SELECT coalesce((SELECT max(extract(epoch FROM r.replay_lag)) FROM pg_stat_replication AS r
                     WHERE r.state = 'streaming'), 0)::float8 AS seconds,
           coalesce((SELECT max(pg_wal_lsn_diff(
                         CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn()
                              ELSE pg_current_wal_lsn() END, r.replay_lsn))
                     FROM pg_stat_replication AS r
                     WHERE r.state = 'streaming'), 0)::float8 AS bytes,
           (SELECT count(*) FROM pg_stat_activity AS a
            WHERE a.backend_type = 'client backend' AND a.state = 'active'
              AND a.pid NOT IN (pg_backend_pid(), %(pid)s)) AS active,
           current_setting('max_connections')::int AS connections
"""


@dataclass(frozen=True, slots=True)
class Pace:
    """What a backfill may cost others."""

    seconds: float = 0.5  # that a batch is to take: so long its rows are locked
    largest: int = 50_000  # rows of a batch
    lag_seconds: float = 10.0  # a standby further behind makes it pause
    lag_bytes: float = 64 * 2**20  # of WAL, the same
    active: int | None = None  # other sessions that work; None: a quarter of max_connections
    pause: float = 0.5  # seconds until it looks again

    def next_size(self, size: int, took: float) -> int:
        """Return the rows of the next batch, after one of `size` rows took so many seconds.

        At most twice as many, at least a quarter: one slow batch is no rule.
        """
        aim = int(size * self.seconds / max(took, 0.001))
        return max(1, min(self.largest, size * 2, max(aim, size // 4)))

    def first_size(self) -> int:
        """Return the rows of the first batch."""
        return min(_FIRST, self.largest)


def wait(
    pace: Pace,
    beside: psycopg.Connection[object],
    pid: int,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Wait while standbys are behind, or the server has much to do; `pid` is the backfill's."""
    told = -_TELL_AGAIN
    waited = 0.0
    while reason := _reason(pace, beside, pid):
        if waited - told >= _TELL_AGAIN:
            _log.info("pausing the backfill: %s", reason)
            told = waited
        sleep(pace.pause)
        waited += pace.pause


def _reason(pace: Pace, beside: psycopg.Connection[object], pid: int) -> str:
    """Return why it has to wait, in words; nothing where it may go on."""
    (found,) = rows(beside, _LOOK, pid=pid)
    if found["seconds"] > pace.lag_seconds:
        return f"a standby is {found['seconds']:.0f} s behind (limit {pace.lag_seconds:.0f} s)"
    if found["bytes"] > pace.lag_bytes:
        return (
            f"a standby is {found['bytes'] / 2**20:.0f} MB of WAL behind"
            f" (limit {pace.lag_bytes / 2**20:.0f} MB)"
        )
    limit = found["connections"] // 4 if pace.active is None else pace.active
    if found["active"] > limit:
        return f"{found['active']} other sessions are at work (limit {limit})"
    return ""
